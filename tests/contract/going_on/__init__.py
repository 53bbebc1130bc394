"""Answers that another worker has begun, on each engine."""
