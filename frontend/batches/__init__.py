"""Files of requests, and the batches that answer them while nobody else asks anything."""
