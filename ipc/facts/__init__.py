"""Facts that several processes need, read without a library."""
