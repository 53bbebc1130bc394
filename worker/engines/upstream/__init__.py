"""Other servers as engines: one elsewhere, or a program that the worker starts."""
