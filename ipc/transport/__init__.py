"""How messages travel: frames and sockets."""
