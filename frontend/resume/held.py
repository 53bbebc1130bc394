"""One answer that goes on whoever reads it, and all of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

from starlette.types import Message

from frontend.resume.ring import Ring
from ipc.messages.errors import NotFound

RING_BYTES = 4 << 20
# How long it is kept once it has ended.
KEPT_S = 300.0
MAX_HELD = 64


class HeldAnswer:
    """What an application sends, for one reader after the other, or several at once.

    ``key`` is the name of the key that it was asked with: nobody else may read it.
    """

    def __init__(self) -> None:
        self.id = f"stream_{secrets.token_hex(16)}"
        self.key: str | None = None
        self.start: Message | None = None
        self.ended = False
        self.broken = False  # it has ended without its end
        self.task: asyncio.Task[None] | None = None
        self._ring = Ring(RING_BYTES)
        self._given_up = asyncio.Event()
        self._changed = asyncio.Event()

    async def send(self, message: Message) -> None:
        """For the application."""
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"x-stream-id", self.id.encode("ascii"))]
            self.start = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            self._ring.add(bytes(message.get("body", b"")))
            self.ended = not message.get("more_body", False)
        self._tell()

    def end(self) -> None:
        """The application has returned."""
        self.broken = not self.ended
        self.ended = True
        self._tell()

    def give_up(self) -> None:
        """The application is told that its client has left."""
        self._given_up.set()

    async def given_up(self) -> None:
        await self._given_up.wait()

    async def started(self) -> Message | None:
        """The message that begins the answer; None where there has been none."""
        while self.start is None and not self.ended:
            await self._changed.wait()
        return self.start

    async def read(self, offset: int) -> AsyncIterator[bytes]:
        """All from there on, as it comes. Raises `NotFound` where a part of it is gone."""
        while True:
            changed, ended = self._changed, self.ended
            piece = self._ring.since(offset)
            if piece is None:
                raise NotFound(
                    f"this stream has bytes {self._ring.begins_at} to {self._ring.ends_at} only; "
                    "`from` must be one of these",
                    param="from",
                )
            if piece:
                offset += len(piece)
                yield piece
            elif ended:
                return
            else:
                await changed.wait()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class HeldAnswers:
    """Owns them, until `KEPT_S` after their end."""

    def __init__(self) -> None:
        self._held: dict[str, HeldAnswer] = {}

    @property
    def full(self) -> bool:
        return len(self._held) >= MAX_HELD

    def add(self, answer: HeldAnswer) -> None:
        self._held[answer.id] = answer

    def get(self, answer_id: str, key: str | None) -> HeldAnswer:
        """Raises `NotFound`, also for one that another key has begun."""
        found = self._held.get(answer_id)
        if found is None or found.start is None or found.key != key:
            raise NotFound("there is no such stream", param="id")
        return found

    def on_end(self, answer: HeldAnswer) -> None:
        asyncio.get_running_loop().call_later(KEPT_S, self.forget, answer.id)

    def forget(self, answer_id: str) -> None:
        self._held.pop(answer_id, None)
