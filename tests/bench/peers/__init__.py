"""edge-serve beside what else could be installed on the same machine."""
