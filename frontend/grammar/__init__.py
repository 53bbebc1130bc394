"""Whether an answer can be held to the form that a request asks for, before anyone waits for it."""
