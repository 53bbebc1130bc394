"""Speech by onnx-asr: NVIDIA's Parakeet, Canary and other Conformers of NeMo, GigaAM, and Whisper
as exported to ONNX. The library has their features, graphs, vocabularies and greedy decoding."""
