"""One client's live speech: the job that hears it, and what comes of its turns.

The job begins with the first sound. One that fails takes the turns that were open with it, and the
sound that comes next begins another: the session goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from msgspec.structs import replace

from frontend.dispatch.input.feed import Said
from frontend.dispatch.stream import Stream
from ipc.messages.errors import ServeError
from ipc.messages.events import Done, Piece, Turn
from ipc.messages.jobs import SpeechInput

OpenJob = Callable[[SpeechInput], Stream]


@dataclass(frozen=True, slots=True)
class Lost:
    """The job has failed with ``error``: its ``turns`` that were open get no end."""

    error: ServeError
    turns: tuple[int, ...]


class LiveSession:
    """``open_job`` hands a job over, and may raise the `ServeError` why it cannot be. Turns are
    numbered through the whole session. One task writes, another one reads `events`."""

    def __init__(self, open_job: OpenJob, asked: SpeechInput) -> None:
        self.asked = asked
        self._open_job = open_job
        self._stream: Stream | None = None
        self._changed = asyncio.Event()
        self._ends = False
        self._first = 0  # what the job's turn 0 is in the session
        self._next = 0
        self._open_turns: dict[int, None] = {}

    @property
    def has_begun(self) -> bool:
        """Whether sound has come that is being heard."""
        return self._stream is not None

    async def append(self, data: bytes) -> None:
        """The next sound, as the live rules have it. Waits while too much is on its way."""
        await self._write(data)

    async def commit(self) -> None:
        """The turn ends here."""
        await self._write(b"", "commit")

    async def clear(self) -> None:
        """The turn is to be forgotten."""
        await self._write(b"", "clear")

    async def retune(self, asked: SpeechInput) -> None:
        """What comes from now on is to be heard like this."""
        self.asked = asked
        if self._stream is not None:
            await self._write(b"", asked)

    async def finish(self) -> None:
        """No sound follows: `events` ends once all turns have."""
        self._ends = True
        if self._stream is not None:
            await self._write(b"", last=True)
        self._changed.set()

    def close(self) -> None:
        """Nobody listens any more. Idempotent."""
        self._ends = True
        if self._stream is not None:
            self._stream.close()
        self._changed.set()

    async def events(self) -> AsyncIterator[Turn | Lost]:
        """What comes of the turns, until `finish` has been answered."""
        while (stream := await self._running()) is not None:
            try:
                for event in await stream.next():
                    if isinstance(event, Done):
                        self._stream = None
                    elif (turn := self._numbered(event)) is not None:
                        yield turn
            except ServeError as error:
                self._stream = None
                turns = tuple(self._open_turns)
                self._open_turns.clear()
                yield Lost(error, turns)

    async def _write(self, data: bytes, said: Said = None, *, last: bool = False) -> None:
        if self._stream is None:
            self._first = self._next
            self._stream = self._open_job(self.asked)
            self._changed.set()
        assert self._stream.input is not None, "live input is streamed"
        await self._stream.input.write(data, said, last=last)

    async def _running(self) -> Stream | None:
        """The job there is, or the next one; None: there will be none."""
        while self._stream is None and not self._ends:
            self._changed.clear()
            await self._changed.wait()
        return self._stream

    def _numbered(self, event: Piece) -> Turn | None:
        if not isinstance(event, Turn):
            return None
        turn = replace(event, turn=self._first + event.turn)
        self._next = max(self._next, turn.turn + 1)
        if turn.what in ("ended", "cleared"):
            self._open_turns.pop(turn.turn, None)
        else:
            self._open_turns[turn.turn] = None
        return turn
