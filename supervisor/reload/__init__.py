"""Another configuration for a server that runs: what it changes, and how a model is updated."""
