"""Programs that use this server, by the requests that their sources send."""
