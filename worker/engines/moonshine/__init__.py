"""Speech by Moonshine on ONNX Runtime: a Transformer whose work grows with the sound, not with a
window of half a minute (Jeffries et al., Moonshine, 2024)."""
