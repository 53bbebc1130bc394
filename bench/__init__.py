"""edge-serve measured against the bare engines, on the same box, in the same run."""
