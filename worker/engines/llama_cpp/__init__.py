"""Chat on llama.cpp, as the package xllamacpp has it."""
