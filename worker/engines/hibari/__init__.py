"""English speech by hibari: small models distilled from Kokoro, on ONNX Runtime."""
