"""The Model Context Protocol at /mcp: models as tools of other programs' models."""
