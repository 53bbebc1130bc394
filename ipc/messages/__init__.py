"""What is said between processes."""
