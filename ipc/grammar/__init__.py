"""Context-free grammars over characters: what an answer must look like, on every engine."""
