"""One answer that goes on whoever reads it, and all of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection

from starlette.types import Message

from frontend.resume.ring import Ring
from ipc.messages.errors import NotFound, ServeError, StreamStopped

RING_BYTES = 4 << 20
# What is kept of one that is not held, for its client to read.
BUFFER_BYTES = 128 << 10
# How long it is kept once it has ended.
KEPT_S = 300.0
MAX_HELD = 64
# Of them one client's, so that others have room.
MOST_OF_ONE = 16
# Ends what an answer comes of; whoever reads it is told why.
Abort = Callable[[ServeError], None]


class HeldAnswer:
    """What an application sends, for one reader after the other, or several at once.

    ``key`` is the name of the key that it was asked with: nobody else may read it. ``client`` is
    who asked. One that is not ``held`` is for its client alone, and ends with its connection.
    """

    def __init__(self, client: str = "", key: str | None = None) -> None:
        self.id = f"stream_{secrets.token_hex(16)}"
        self.client = client
        self.key = key
        self.held = False
        self._abort: Abort | None = None
        self.start: Message | None = None
        self.ended = False
        self.broken = False  # it has ended without its end
        self._ring = Ring(BUFFER_BYTES)
        self._asker_at: int | None = 0  # how far the client has read that asked; None: it has left
        self._given_up = asyncio.Event()
        self._changed = asyncio.Event()

    def hold(self, abort: Abort) -> None:
        """It goes on without its client, until it is whole or stopped by ``abort``. To be said
        before it begins."""
        self.held = True
        self._abort = abort
        self._ring.limit_bytes = RING_BYTES

    async def send(self, message: Message) -> None:
        """For the application, which waits for a client that is there and reads too slowly."""
        if message["type"] == "http.response.start":
            name = [(b"x-stream-id", self.id.encode("ascii"))] if self.held else []
            self.start = {**message, "headers": [*message.get("headers", ()), *name]}
        elif message["type"] == "http.response.body":
            piece = bytes(message.get("body", b""))
            while self._outruns(len(piece)):
                await self._changed.wait()
            self._ring.add(piece)
            self.ended = not message.get("more_body", False)
        self._tell()

    def asker_has(self, offset: int | None) -> None:
        """So far has the client read that asked for it; None: it has left."""
        self._asker_at = offset
        self._tell()

    def _outruns(self, more_bytes: int) -> bool:
        """Whether so much more would push out what the client has not read yet."""
        if self._asker_at is None or self._asker_at >= self._ring.ends_at:
            return False
        return self._ring.ends_at + more_bytes - self._asker_at > self._ring.limit_bytes

    def end(self) -> None:
        """The application has returned."""
        self.broken = not self.ended
        self.ended = True
        self._abort = None
        self._tell()

    def stop(self) -> None:
        """Its client wants no more of it. Who still reads it is told so, and finds its end."""
        if self._abort is not None:
            self._abort(StreamStopped("this stream was stopped by its client"))

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

    def admit(self, answer: HeldAnswer, abort: Abort) -> None:
        """Hold it, where there is room: among all, and among its client's. The oldest of these that
        has ended makes room. See `HeldAnswer.hold` for ``abort``."""
        own = [one for one in self._held.values() if one.client == answer.client]
        if len(own) >= MOST_OF_ONE or len(self._held) >= MAX_HELD:
            ended = next((one for one in own if one.ended), None)
            if ended is None:
                return
            self.forget(ended.id)
        answer.hold(abort)
        self._held[answer.id] = answer

    def get(self, answer_id: str, key: str | None) -> HeldAnswer:
        """Raises `NotFound`, also for one that another key has begun."""
        found = self._held.get(answer_id)
        if found is None or found.start is None or found.key != key:
            raise NotFound("there is no such stream", param="id")
        return found

    def on_end(self, answer: HeldAnswer) -> None:
        """It is kept for a while from now on, if it is held."""
        if answer.held:
            asyncio.get_running_loop().call_later(KEPT_S, self.forget, answer.id)

    def know(self, keys: Collection[str]) -> None:
        """There are these keys from now on: what was begun with others is stopped and forgotten."""
        for answer in [*self._held.values()]:
            if answer.key is not None and answer.key not in keys:
                self.forget(answer.id)
                answer.stop()

    def forget(self, answer_id: str) -> None:
        self._held.pop(answer_id, None)
