"""The HTTP face and the queues: everything between a client's request and a worker's socket."""
