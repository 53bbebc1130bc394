"""What a box keeps from one start to the next: files with a schema version, each written by one
process."""
