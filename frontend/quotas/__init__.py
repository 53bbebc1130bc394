"""What a key may have: so much in a minute, a day, at once, and of which models."""
