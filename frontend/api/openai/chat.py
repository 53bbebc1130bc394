"""POST /v1/chat/completions"""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.images import Remote
from frontend.api.openai.chat_answer import Completion, fingerprint
from frontend.api.openai.chat_objects import Shape
from frontend.api.openai.chat_request import parse_chat
from frontend.api.remote_images import ImageFetcher
from frontend.api.writer import Writer
from frontend.dispatch.dispatcher import Dispatcher
from frontend.grammar.gate import Gate
from frontend.http.body import COPIES, read_json
from frontend.http.request_context import RequestContext
from frontend.metrics import Metrics
from ipc.messages.control import Serve

# Names what of a schema that is not strict the answer was not held to.
DROPPED = b"x-schema-dropped"


class Chat:
    """One turn of a conversation, streamed or whole."""

    def __init__(self, dispatcher: Dispatcher, limits: Serve, metrics: Metrics) -> None:
        self._dispatcher = dispatcher
        self._limits = limits
        self._writer = Writer(dispatcher, limits, metrics)
        self._gate = Gate()
        self._fetcher = ImageFetcher(limits.remote_images, metrics.remote_images)

    async def complete(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = parse_chat(body.data)
        spec = self._dispatcher.spec(asked.model, "chat")
        context = RequestContext.of(request.scope)
        context.names(spec)
        remote: list[Remote] = []
        wanted = asked.to_input(spec, remote)
        dropped = await self._gate.check(asked.bound_forms())
        fetched_bytes = await self._fetcher.fill(remote) if remote else 0
        if fetched_bytes:
            context.claim.add(COPIES * fetched_bytes)
        loaded = self._dispatcher.state(spec.name).loaded
        shape = Shape(
            reasons=loaded is not None and loaded.reasoning,
            shows_reasoning=asked.shows_reasoning,
            names_call=asked.names_call,
        )
        response = await self._writer.answer(
            request,
            spec,
            wanted,
            body.size_bytes + fetched_bytes,
            Completion(asked.model, fingerprint(spec), shape),
            stream=bool(asked.stream),
            include_usage=asked.include_usage,
        )
        if dropped:
            response.raw_headers.append((DROPPED, b", ".join(map(_header_text, dropped))))
        return response


def _header_text(pointer: str) -> bytes:
    """A JSON pointer in the form that a URI has it (RFC 6901, section 6), without commas."""
    return quote(pointer, safe="#/~$").encode()
