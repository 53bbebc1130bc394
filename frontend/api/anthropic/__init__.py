"""Anthropic's Messages API, as a face of chats."""
