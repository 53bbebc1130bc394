"""llama-swap, a proxy that starts and stops servers of one model each."""
