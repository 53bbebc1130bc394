"""Speech that is heard while it is said: turns, words that are told once, and their driver."""
