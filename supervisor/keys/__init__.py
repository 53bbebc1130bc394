"""The file of API keys: what its lines say, and how a running server changes them."""
