"""``edge-serve bench chat|embeddings|audio|rerank``: a running server under growing load."""
