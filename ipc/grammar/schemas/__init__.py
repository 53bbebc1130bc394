"""JSON Schema as rules."""
