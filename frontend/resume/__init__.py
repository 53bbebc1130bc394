"""Answers that outlive the connection they began on, for clients that ask for it."""
