"""What this box has: processors, memory, GPUs."""
