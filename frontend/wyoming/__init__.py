"""The Wyoming protocol, by which voice assistants hear, speak and chat: this server's own routes,
asked in the words of Home Assistant."""
