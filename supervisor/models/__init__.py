"""Model files: fetched, checked, converted and kept, before anything is served."""
