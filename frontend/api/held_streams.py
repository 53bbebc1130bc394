"""GET and DELETE /v1/stream: an answer that went on without its client, read on or stopped"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

import orjson
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from frontend.api.answer import Answer
from frontend.api.validate import Body, check_query
from frontend.http.disconnect import Watch
from frontend.http.request_context import RequestContext
from frontend.resume.held import HeldAnswer, HeldAnswers
from ipc.messages.errors import Cancelled

# A query has texts only.
_Offset = Annotated[str, Field(pattern=r"^\d{1,15}$")]

# What each answer on the wire has of its own.
_OF_ONE_ANSWER = {b"x-request-id", b"request-id", b"content-length"}


class StreamQuery(Body):
    """``id`` is from the header x-stream-id; ``from`` how many bytes of the answer are known."""

    id: str = ""
    offset: _Offset = Field(default="0", alias="from")


class StreamStopped(Answer):
    id: str
    stopped: Literal[True]


class HeldStreams:
    """Nobody learns of one that another key has begun."""

    def __init__(self, held: HeldAnswers) -> None:
        self._held = held

    async def read(self, request: Request) -> Response:
        answer, asked = self._asked(request)
        pieces = answer.read(int(asked.offset))
        first = await anext(pieces, b"")  # which fails where a part is gone
        return _Rest(answer, first, pieces)

    async def stop(self, request: Request) -> Response:
        answer, _ = self._asked(request)
        answer.stop()
        self._held.forget(answer.id)
        body = orjson.dumps({"id": answer.id, "stopped": True})
        return Response(body, media_type="application/json")

    def _asked(self, request: Request) -> tuple[HeldAnswer, StreamQuery]:
        asked = check_query(StreamQuery, request)
        return self._held.get(asked.id, RequestContext.of(request.scope).key), asked


class _Rest(Response):
    """The answer from an offset on, with its own status and headers."""

    def __init__(self, answer: HeldAnswer, first: bytes, pieces: AsyncIterator[bytes]) -> None:
        assert answer.start is not None
        self.status_code = answer.start["status"]
        self.raw_headers = [*answer.start["headers"]]
        self.background = None
        self._answer = answer
        self._first = first
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context, is_head = RequestContext.of(scope), scope["method"] == "HEAD"
        headers = [one for one in self.raw_headers if one[0] not in _OF_ONE_ANSWER]
        try:
            async with Watch(receive):
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": headers}
                )
                if not is_head:
                    await send(_part(self._first))
                    async for piece in self._pieces:
                        await send(_part(piece))
            if is_head or not self._answer.broken:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except Cancelled as error:
            context.status, context.error = error.status, error.code


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}
