"""Ollama's API, as much of it as clients need that speak no other: off unless it is asked for."""
