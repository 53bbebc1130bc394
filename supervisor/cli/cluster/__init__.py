"""`edge-serve cluster`: several boxes as one."""
