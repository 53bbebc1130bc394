"""What operators ask of a running server, and what they are told of it."""
