"""One chat at a time, as most boxes have it: what of an engine's speed reaches a client."""
