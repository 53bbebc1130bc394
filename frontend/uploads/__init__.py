"""Recordings on their way from a client to a worker."""
