"""What a request handler writes its job's input with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from frontend.dispatch.input.feed import InputFeed, Said
from ipc.messages.jobs import MAX_MORE_BYTES, More


class Source(Protocol):
    """A file on its way: ``size`` bytes have come, and all of them if it ``is_whole``. Whoever
    fills it calls ``on_growth``."""

    is_whole: bool
    on_growth: Callable[[], None]

    @property
    def size(self) -> int: ...

    async def read(self, at: int, size: int) -> bytes: ...


class InputWriter:
    """Hands pieces on as the worker's credit has room. ``send`` is told of each that a worker may
    have now. What is written is live sound, or if it ``is_file`` that."""

    def __init__(self, job_id: str, send: Callable[[More], None], *, is_file: bool = False) -> None:
        self.feed = InputFeed(job_id)
        self._job_id = job_id
        self._is_file = is_file
        self._send = send
        self._changed = asyncio.Event()
        self._ended = False
        self._source: Source | None = None
        self._start = self._at = 0
        self._is_told = False

    def follow(self, source: Source, start: int, *, told: bool) -> None:
        """Its input is ``source`` from ``start`` on, for `copy` to hand on; from there once more if
        the job begins anew. ``told``: its client reads each piece of its answer."""
        self._source = source
        self._start = self._at = start
        self._is_told = told
        source.on_growth = self._changed.set

    async def copy(self) -> None:
        """Hand on what it follows, as it comes. Returns with the job's end."""
        while not self._ended:
            self._changed.clear()
            await self.fill()
            if not self._ended:
                await self._changed.wait()

    async def fill(self) -> None:
        """Hand on what has come, as far as there is room."""
        while (source := self._source) is not None and self._takes_from(source):
            feed, data = self.feed, await source.read(self._at, MAX_MORE_BYTES)
            if feed is self.feed and not self._ended:  # else it begins anew
                self._at += len(data)
                last = source.is_whole and self._at == source.size
                self._send(feed.add(data, last=last))

    def _takes_from(self, source: Source) -> bool:
        if self._ended or self.feed.is_complete or not self.feed.has_room:
            return False
        return source.is_whole or source.size > self._at

    async def write(self, data: bytes, said: Said = None, *, last: bool = False) -> None:
        """Hand on ``data``, in pieces, and ``said`` behind it; waits for room. After the job's end
        it goes nowhere: whoever reads the job's stream learns why."""
        for at in range(0, len(data), MAX_MORE_BYTES):
            is_end = at + MAX_MORE_BYTES >= len(data)
            part = data[at : at + MAX_MORE_BYTES]
            await self._write(part, said if is_end else None, last=last and is_end)
        if not data:
            await self._write(b"", said, last=last)

    async def _write(self, part: bytes, said: Said, *, last: bool) -> None:
        while not self.feed.has_room and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        if not self._ended:
            self._send(self.feed.add(part, said, last=last))

    # Called by the dispatcher.

    @property
    def is_kept(self) -> bool:
        """Whether all of it stays here until the job's end."""
        return self._source is not None

    @property
    def is_filling(self) -> bool:
        """Whether a file is still on its way, of which nobody knows when it ends."""
        return self._is_file and not self.feed.is_complete and not self._ended

    def begin_anew(self, *, has_spoken: bool) -> bool:
        """Another worker is to have all of it, from the beginning. False where it is not kept, or
        the client has read some of what became of it, if the job ``has_spoken``."""
        if self._source is None:
            return self.feed.is_whole
        if self._is_told and has_spoken:
            return False
        self.feed, self._at = InputFeed(self._job_id), self._start
        self._changed.set()
        return True

    def use(self, pieces: int) -> None:
        """The worker has used so many pieces."""
        self.feed.use(pieces)
        self._changed.set()

    def end(self) -> None:
        """The job has ended."""
        self._ended = True
        self._changed.set()
