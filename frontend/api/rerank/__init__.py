"""Reranking, as Cohere's, Jina's and vLLM's clients ask for it."""
