"""OpenAI's Realtime API, transcription sessions: speech heard while it is said."""
