"""Entries of catalogs: their keys, where their files come from, and how files of them are read."""
