"""The children of one supervisor, and the models that they serve."""
