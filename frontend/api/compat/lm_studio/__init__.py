"""LM Studio's own REST API, of both versions."""
