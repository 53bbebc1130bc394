"""The page that people see: its files. What it shows and does are calls to this server's API."""
