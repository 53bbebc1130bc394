"""Sound to measure with: recorded, read aloud, or made."""
