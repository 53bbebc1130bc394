"""The page that people see: its files, and who is logged in. It has no logic of its own; all that
it shows and does are calls to this server's API."""
