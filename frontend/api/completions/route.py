"""POST /v1/completions, and the routes by which editors have gaps filled"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.compat.infill import Infill, InfillRequest
from frontend.api.compat.mistral_fim import FimRequest
from frontend.api.completions.completion_answer import TextCompletion
from frontend.api.completions.request import parse_completion
from frontend.api.openai.chat_answer import Completion, fingerprint
from frontend.api.queued import queue_as_asked
from frontend.api.validate import check
from frontend.api.writer import Writer
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.body import read_json
from frontend.http.request_context import RequestContext
from frontend.metrics.prometheus import Metrics
from ipc.messages.control import Serve
from ipc.messages.spec import Spec


class Completions:
    """What a model writes on from a text."""

    def __init__(self, dispatcher: Dispatcher, limits: Serve, metrics: Metrics) -> None:
        self._dispatcher = dispatcher
        self._limits = limits
        self._writer = Writer(dispatcher, limits, metrics)

    async def complete(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = parse_completion(body.data)
        queue_as_asked(request, asked)
        spec = self._found(request, asked.model)
        return await self._writer.answer(
            request,
            spec,
            asked.to_input(spec),
            body.size_bytes,
            TextCompletion(asked.model, fingerprint(spec), include_usage=asked.include_usage),
            stream=bool(asked.stream),
        )

    async def infill(self, request: Request) -> Response:
        """As llama.cpp's server does."""
        body = await read_json(request, self._limits.max_json_bytes)
        asked = check(InfillRequest, body.data)
        queue_as_asked(request, asked)
        asked.check_sampling()
        spec = self._found(request, asked.model or self._filling())
        return await self._writer.answer(
            request,
            spec,
            asked.to_input(spec),
            body.size_bytes,
            Infill(spec.name, asked),
            stream=bool(asked.stream),
        )

    async def fill(self, request: Request) -> Response:
        """As Mistral's API does: the answer is a chat's."""
        body = await read_json(request, self._limits.max_json_bytes)
        asked = check(FimRequest, body.data)
        queue_as_asked(request, asked)
        asked.check_sampling()
        spec = self._found(request, asked.model)
        return await self._writer.answer(
            request,
            spec,
            asked.to_input(spec),
            body.size_bytes,
            Completion(asked.model, fingerprint(spec), include_usage=asked.include_usage),
            stream=bool(asked.stream),
        )

    def _found(self, request: Request, name: str) -> Spec:
        spec = self._dispatcher.spec(name, "chat")
        RequestContext.of(request.scope).names(spec)
        return spec

    def _filling(self) -> str:
        """The model for a request that names none: the only one that fills gaps, or the only one
        for chats. Raises `InvalidRequest`."""
        filling = [name for name, spec in self._dispatcher.specs.items() if self._fills(spec)]
        return filling[0] if len(filling) == 1 else self._dispatcher.only("chat").name

    def _fills(self, spec: Spec) -> bool:
        loaded = self._dispatcher.state(spec.name).loaded
        return spec.task == "chat" and loaded is not None and loaded.fills
