"""Connections: what is taken off the wire, and refused there, before the application."""
