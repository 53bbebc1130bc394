"""Managing this server while it runs: its models, its requests, what happens and what is logged."""
