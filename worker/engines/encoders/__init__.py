"""Models that read whole texts, for embeddings and reranking, on OpenVINO and on torch."""
