"""Which beginnings of prompts come again and again, and when they are read again."""
