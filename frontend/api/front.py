"""GET /: what this server is."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response


async def front(_: Request) -> Response:
    """For people and programs that look whether somebody is there, as Ollama's clients do."""
    return PlainTextResponse(
        "edge-serve: an inference server with OpenAI's API under /v1, described at /openapi.json\n"
    )
