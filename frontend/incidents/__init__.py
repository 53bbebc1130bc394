"""What led to a crash, a hang or an overload, in a file for each; never what was asked or
answered."""
