"""GET /llms.txt and /.well-known/edge-serve.json: what this server is, for who finds it."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from frontend.api.answer import Answer
from frontend.dispatch.dispatcher import Dispatcher
from ipc.messages.control import Serve
from ipc.tasks import TASKS

_JSON = "application/json"


class ServedModel(Answer):
    id: str
    task: str
    path: str


class ServerCard(Answer):
    """``keys`` is whether an API key is needed; ``apis`` are those whose clients can talk to it."""

    name: str
    keys: bool
    apis: list[str]
    openapi: str
    mcp: str
    models: list[ServedModel]


class Discovery:
    """Says it out of what is served now."""

    def __init__(self, dispatcher: Dispatcher, serve: Serve) -> None:
        self._dispatcher = dispatcher
        self._serve = serve

    async def card(self, _: Request) -> Response:
        card = {
            "name": "edge-serve",
            "keys": bool(self._serve.gate.api_keys),
            "apis": ["openai", "anthropic", *(["ollama"] if self._serve.ollama else [])],
            "openapi": "/openapi.json",
            "mcp": "/mcp",
            "models": [
                {"id": spec.name, "task": spec.task, "path": TASKS[spec.task].path}
                for spec in self._dispatcher.specs.values()
            ],
        }
        return Response(orjson.dumps(card), media_type=_JSON)

    async def for_models(self, _: Request) -> Response:
        return PlainTextResponse("\n".join(self._lines()) + "\n")

    def _lines(self) -> Iterator[str]:
        """As llmstxt.org has it: a title, a summary, lists of links."""
        yield "# edge-serve"
        yield ""
        yield "> An inference server on this machine, with OpenAI's API under /v1."
        yield ""
        if self._serve.gate.api_keys:
            yield "Requests need an API key, as `Authorization: Bearer KEY`."
            yield ""
        yield "## Models"
        yield ""
        for spec in self._dispatcher.specs.values():
            task = TASKS[spec.task]
            yield f"- {spec.name}: {task.capability}, at {task.path}"
        yield ""
        yield "## API"
        yield ""
        yield "- [OpenAPI](/openapi.json): every route with its parameters and errors"
        yield "- [MCP](/mcp): the models as tools, by the Model Context Protocol"
        yield "- [Models](/v1/models): the models with what they can do"
        yield "- [Health](/health): every process, measured now"
