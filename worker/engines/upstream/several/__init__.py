"""Several servers with the same model as one: which is asked, and when another one is."""
