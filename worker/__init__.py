"""One model in one process: a socket host on the main thread, an engine on another."""
