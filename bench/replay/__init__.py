"""The load of an incident's minutes made again: the same order, spacing and shapes, other words."""
