"""Engines without edge-serve: each in a process of its own, which does what it is asked."""
