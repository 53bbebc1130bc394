"""The process that owns all others, and the command line that starts it.

`cli` reads settings and fetches models, writes a `plan` and becomes the daemon (``__main__``),
which imports neither: what a box keeps in memory for weeks is only what supervision needs.
"""
