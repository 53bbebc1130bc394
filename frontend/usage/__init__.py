"""Who has used which model, and how much: counted by the minute, kept for 90 days."""
