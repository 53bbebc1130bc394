"""The engine of tests: it answers with what it was sent, or breaks as it is told to."""
