"""OpenAI's API for sound: heard and spoken."""
