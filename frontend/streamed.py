"""This application, asked from within, and its answer read while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Message

from frontend.in_process import Asked, Question, scope_of
from ipc.messages.errors import InternalError

# Whoever leaves waits so long for the work to be ended as a client's who has left.
LEAVE_S = 5.0


class Streamed:
    """An answer that has begun. Whoever makes it waits while nobody reads."""

    def __init__(self) -> None:
        self.status = 0
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._is_whole = False
        self._left = asyncio.Event()

    async def parts(self) -> AsyncIterator[bytes]:
        """Raises `InternalError` where the answer breaks off."""
        while (part := await self._parts.get()) is not None:
            if part:
                yield part
        if not self._is_whole:
            raise InternalError("the answer has broken off; the server's log has why")

    async def whole(self) -> bytes:
        """All that there is, of an answer that is short."""
        return b"".join([part async for part in self.parts()])

    async def begin(self) -> None:
        """Returns once the status is known, or there will be none."""
        if await self._parts.get() is None:
            self._parts.put_nowait(None)

    async def left(self) -> None:
        """Returns when nobody reads any more."""
        await self._left.wait()

    def leave(self) -> None:
        self._left.set()
        while not self._parts.empty():
            self._parts.get_nowait()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            await self._put(b"")
        else:
            self._is_whole = not message.get("more_body", False)
            if body := message.get("body", b""):
                await self._put(bytes(body))

    async def end(self) -> None:
        await self._put(None)

    async def _put(self, part: bytes | None) -> None:
        if not self._left.is_set():
            await self._parts.put(part)


@asynccontextmanager
async def answering(
    app: ASGIApp, asked: Asked, about: Mapping[str, Any]
) -> AsyncIterator[Streamed]:
    """What ``app`` answers, from its status on. To leave the block early is what a client does who
    closes its connection. ``about`` is what the scope has beside the request, as in `ask`."""
    streamed = Streamed()
    work = asyncio.create_task(_work(app, asked, about, streamed))
    try:
        await streamed.begin()
        yield streamed
    finally:
        streamed.leave()
        await asyncio.wait({work}, timeout=LEAVE_S)
        work.cancel()


async def _work(app: ASGIApp, asked: Asked, about: Mapping[str, Any], streamed: Streamed) -> None:
    question = Question(asked.body, streamed.left)
    try:
        await app(scope_of(asked, about), question.receive, streamed.send)
    finally:
        await streamed.end()
