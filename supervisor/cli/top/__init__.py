"""``edge-serve top``: what a running server does, drawn again each second."""
