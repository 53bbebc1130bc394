"""GET /openapi.json: the API as this server offers it."""
