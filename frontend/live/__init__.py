"""Speech that is heard while it is said: what its faces, whatever protocol they speak, share."""
