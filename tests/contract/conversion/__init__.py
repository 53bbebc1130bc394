"""Model files as they are converted, weight by weight."""
