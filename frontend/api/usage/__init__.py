"""What was used, as it is told to who runs the server and to each key."""
