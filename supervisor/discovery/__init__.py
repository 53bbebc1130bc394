"""Models of the hub that no catalog has: what they are, whether they fit, and their entry."""
