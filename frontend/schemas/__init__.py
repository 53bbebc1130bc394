"""What clients may send, checked before anything is done with it."""
