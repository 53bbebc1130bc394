"""Input that follows its job in pieces."""
