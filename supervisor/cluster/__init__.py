"""This box's place in a cluster: made, left, and what of a model's spec follows from it."""
