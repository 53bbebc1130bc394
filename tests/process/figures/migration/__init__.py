"""Streams of real models whose worker is killed while it writes, in each API and on each engine."""
