"""An answer that is JSON if it comes soon, and else a stream of events with it at its end, so that
neither client nor proxy takes the silence for the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from frontend.api.mcp.messages import Reply
from frontend.http.request_context import RequestContext
from frontend.http.sse import KEEPALIVE, named_event
from ipc.messages.errors import Cancelled

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Pending(Response):
    """``work`` comes to a status and a body. ``progress`` is what is told of each silence of
    ``silence_s``, given how long it has been; None: a comment."""

    def __init__(
        self,
        work: Callable[[], Awaitable[tuple[int, Reply]]],
        progress: Callable[[float], Reply | None],
        silence_s: float,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._work = work
        self._progress = progress
        self._silence_s = silence_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.ensure_future(self._work())
        try:
            await asyncio.wait({work}, timeout=self._silence_s)
            if work.done():
                status, body = work.result()
                await as_json(body, status)(scope, receive, send)
            else:
                await self._stream(work, send)
        except Cancelled as error:
            context = RequestContext.of(scope)
            if not context.status:
                raise
            context.status, context.error = error.status, error.code
        finally:
            work.cancel()

    async def _stream(self, work: asyncio.Future[tuple[int, Reply]], send: Send) -> None:
        clock = asyncio.get_running_loop().time
        began_at = clock() - self._silence_s
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
        while not work.done():
            told = self._progress(clock() - began_at)
            part = named_event("message", told) if told else KEEPALIVE
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.wait({work}, timeout=self._silence_s)
        await send({"type": "http.response.body", "body": named_event("message", work.result()[1])})


def as_json(body: Reply, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
