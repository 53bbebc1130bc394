"""Whose turn it is: clients that wait for one model, by weight and precedence."""
