"""OpenAI's Responses API: a chat in which everything that is said or done is an item."""
