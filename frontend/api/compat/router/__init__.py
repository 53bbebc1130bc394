"""llama.cpp's server where it has several models: its router mode."""
