"""The file of an incident: read from whoever sent it, and told to people."""
