"""What every face of chats shares: from a checked request to its answer.

A face reads a request in the words of its API, says it as a `ChatRequest`, and renders the answer.
All between is here.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.images import Remote
from frontend.api.openai.chat_request import ChatRequest
from frontend.api.openai.sampling_request import with_room_to_think
from frontend.api.remote_images import ImageFetcher
from frontend.api.route import Services
from frontend.api.writer import Face, Writer
from frontend.grammar.gate import Gate
from frontend.http.body import COPIES
from frontend.http.request_context import RequestContext
from ipc.messages.spec import Spec

# Names what of a schema that is not strict the answer was not held to.
DROPPED = b"x-schema-dropped"


class Chats:
    """Has chat models answer."""

    def __init__(self, its: Services) -> None:
        self._dispatcher = its.dispatcher
        self._writer = Writer(its.dispatcher, its.serve, its.metrics)
        self._gate = Gate()
        self._fetcher = ImageFetcher(its.serve.remote_images, its.metrics.remote_images)

    async def answer(
        self,
        request: Request,
        asked: ChatRequest,
        size_bytes: int,
        face: Callable[[Spec], Face],
    ) -> Response:
        """The answer to ``asked``, in the form that ``face`` gives for its model. ``size_bytes`` is
        the request's. Raises the `ServeError` of what cannot be answered."""
        spec = self._dispatcher.spec(asked.model, "chat")
        context = RequestContext.of(request.scope)
        context.names(spec)
        remote: list[Remote] = []
        usual = with_room_to_think(spec) if self.reasons(spec) else spec
        wanted = asked.to_input(usual, remote)
        dropped = await self._gate.check(asked.bound_forms())
        fetched_bytes = await self._fetcher.fill(remote) if remote else 0
        if fetched_bytes:
            context.claim.add(COPIES * fetched_bytes)
        size_bytes += fetched_bytes
        response = await self._writer.answer(
            request, spec, wanted, size_bytes, face(spec), stream=bool(asked.stream)
        )
        if dropped:
            response.raw_headers.append((DROPPED, b", ".join(map(_header_text, dropped))))
        return response

    def reasons(self, spec: Spec) -> bool:
        """Whether the model thinks before it answers, as far as is known."""
        loaded = self._dispatcher.state(spec.name).loaded
        return loaded is not None and loaded.reasoning


def _header_text(pointer: str) -> bytes:
    """A JSON pointer in the form that a URI has it (RFC 6901, section 6), without commas."""
    return quote(pointer, safe="#/~$").encode()
