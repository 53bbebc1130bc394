"""HTTP inside the application: bodies, streams, errors, who may ask."""
