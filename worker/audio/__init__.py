"""Uploaded audio to samples. A file is hostile until it has decoded."""
