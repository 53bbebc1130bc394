"""The life of one child: starts, what it says, hangs, signals, its end and what follows."""
