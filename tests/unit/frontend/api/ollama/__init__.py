"""Ollama's API: requests, answers, and the models as it lists them."""
