"""From requests to workers and back."""
