"""What every engine for speech is made of: a recording in pieces, whose words come in its order."""
