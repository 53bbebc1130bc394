"""What has come of requests, and what happened around them; never what was asked or answered."""
