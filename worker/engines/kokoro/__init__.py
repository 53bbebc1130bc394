"""Speech by Kokoro-82M on ONNX Runtime, from the files of either of its two publishers."""
