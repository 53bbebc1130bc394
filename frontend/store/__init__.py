"""What this server has done, kept for days in one SQLite file; never what was asked or answered."""
