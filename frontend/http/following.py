"""Answers that go on for as long as somebody follows them: events and logs.

They hold a connection and do no work, so there may be few of them, and the drain ends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from frontend.http.disconnect import Watch
from frontend.http.request_context import RequestContext
from frontend.http.sse import KEEPALIVE
from ipc.messages.errors import Cancelled, QueueFull
from ipc.messages.keys import ApiKey, Role

MOST = 32
_HEADERS = [
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


@dataclass(frozen=True, slots=True)
class Form:
    """What such an answer is, and what is written in a silence, so that a client that has gone
    without a word is missed; ``end`` is what is written last where the server ends it."""

    media_type: bytes
    silence: bytes
    end: bytes = b""


EVENTS = Form(b"text/event-stream; charset=utf-8", KEEPALIVE)
# An empty line is the least that can be written: only what is written finds a dead client.
LINES = Form(b"text/plain; charset=utf-8", b"\n")


class Followers:
    """Those who follow something now, ``most`` at once."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._ends: dict[asyncio.Future[None], str | None] = {}  # one of each, and his key
        self._has_ended = False
        self._keys: Mapping[str, ApiKey] = {}

    def know(self, keys: Mapping[str, ApiKey]) -> None:
        """These are the keys from now on: who follows by another one, or by one that is not what it
        was, is told no more."""
        for end, name in self._ends.items():
            if name is not None and _rights(self._keys, name) != _rights(keys, name):
                _finish(end)
        self._keys = keys

    def end(self) -> None:
        """The server stops: whoever follows anything is told no more."""
        self._has_ended = True
        for end in self._ends:
            _finish(end)

    @contextmanager
    def one_more(self, key: str | None = None) -> Iterator[asyncio.Future[None]]:
        """Yields what is done when it is told no more, who has come with that ``key``. Raises
        `QueueFull` where there are as many as may be."""
        if len(self._ends) >= self._most:
            raise QueueFull(
                f"{len(self._ends)} clients follow events or logs, as many as may; close one of "
                "them",
                retry_after_s=5.0,
            )
        end = asyncio.get_running_loop().create_future()
        if self._has_ended:
            end.set_result(None)
        self._ends[end] = key
        try:
            yield end
        finally:
            self._ends.pop(end, None)


def _rights(keys: Mapping[str, ApiKey], name: str) -> tuple[str, Role] | None:
    key = keys.get(name)
    return None if key is None else (key.digest, key.role)


def _finish(end: asyncio.Future[None]) -> None:
    if not end.done():
        end.set_result(None)


class Following(Response):
    """What comes of ``parts``, each written as it comes, and what ``form`` has for it in each
    silence of ``keepalive_s``. Ends with them, with its client, or with the server."""

    def __init__(
        self,
        parts: AsyncGenerator[bytes, None],
        followers: Followers,
        keepalive_s: float,
        form: Form = EVENTS,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = [(b"content-type", form.media_type), *_HEADERS]
        self._form = form
        self._parts = parts
        self._followers = followers
        self._keepalive_s = keepalive_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":  # whose answer has an end
            await self._parts.aclose()
            await self._begin(send)
            await _end(send)
            return
        context = RequestContext.of(scope)
        with self._followers.one_more(context.key) as end:
            try:
                async with Watch(receive):
                    await self._write(send, end)
                await _end(send)
            except Cancelled as error:
                context.status, context.error = error.status, error.code
            finally:
                await self._parts.aclose()

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})

    async def _write(self, send: Send, end: asyncio.Future[None]) -> None:
        await self._begin(send)
        async for part in self._paced(end):
            await send({"type": "http.response.body", "body": part, "more_body": True})

    async def _paced(self, end: asyncio.Future[None]) -> AsyncIterator[bytes]:
        coming: asyncio.Future[bytes | None] = asyncio.ensure_future(anext(self._parts, None))
        try:
            while True:
                either: set[asyncio.Future[Any]] = {end, coming}
                await asyncio.wait(
                    either, timeout=self._keepalive_s, return_when=asyncio.FIRST_COMPLETED
                )
                if end.done():
                    if self._form.end:
                        yield self._form.end
                    return
                if not coming.done():
                    yield self._form.silence
                elif (part := coming.result()) is None:
                    return
                else:
                    coming = asyncio.ensure_future(anext(self._parts, None))
                    yield part
        finally:
            coming.cancel()
            await asyncio.wait({coming})


async def _end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})
