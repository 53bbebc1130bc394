"""Chat on torch: causal language models of transformers, batched continuously."""
