"""Answers to prompts without a template: OpenAI's /v1/completions."""
