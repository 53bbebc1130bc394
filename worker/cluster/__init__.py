"""Models whose replicas are on several boxes, placed and kept by Ray; only here is it imported."""
