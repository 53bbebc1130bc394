"""What every chat engine shares: tokens and their bytes, prompts, and answers while written."""
