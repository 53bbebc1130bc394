"""How an answer is read: its text as it comes, what it says, and which part is which."""
