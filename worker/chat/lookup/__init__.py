"""Prompt lookup: guessing that what stood before goes on as it did, where that has been paying."""
