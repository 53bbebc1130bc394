"""Which models are in memory, and who loads and unloads them."""
