"""What has come of an uploaded file: its beginning in memory, the rest on disk."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import BinaryIO

from frontend.dispatch.budget import Claim
from ipc import spool

# A recording that is no longer is never written anywhere, and a worker gets it in one message.
HELD_BYTES = 256 << 10


class Spool:
    """One writer, and one reader beside it. Nothing has its name, and it is gone once it is closed,
    or with this process."""

    def __init__(self, claim: Claim) -> None:
        self.size = 0
        self.is_whole = False
        self.on_growth: Callable[[], None] = lambda: None
        self._claim = claim
        self._head = bytearray()
        self._file: BinaryIO | None = None
        self._is_on_disk = self._is_closed = False
        self._lock = threading.Lock()  # a thread may still write when it is closed

    @property
    def head(self) -> bytes:
        """Its beginning; all of it where that is no longer than `HELD_BYTES`."""
        return bytes(self._head)

    async def write(self, data: bytes) -> None:
        """The next of it. Raises `OutOfMemory`, or `Unavailable` where the disk is full."""
        kept = data[: HELD_BYTES - len(self._head)]
        if kept:
            self._claim.add(len(kept))
            self._head += kept
        if rest := data[len(kept) :]:
            self._is_on_disk = True
            await asyncio.to_thread(self._write, rest, self.size + len(kept) - HELD_BYTES)
        self.size += len(data)
        self.on_growth()

    def end(self) -> None:
        """All of it has come."""
        self.is_whole = True
        self.on_growth()

    async def read(self, at: int, size: int) -> bytes:
        """Up to ``size`` bytes of what has come, from ``at`` on."""
        size = min(size, self.size - at)
        if at < len(self._head):
            return bytes(self._head[at : at + size])
        return await asyncio.to_thread(self._read, at - HELD_BYTES, size) if size else b""

    async def close(self) -> None:
        self._is_closed = True
        if self._is_on_disk:
            await asyncio.to_thread(self._close)

    # In another thread: the disk may be slow, also to free what a long file has taken.

    def _close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()

    def _write(self, data: bytes, at: int) -> None:
        with self._lock:
            if self._is_closed:
                return
            if self._file is None:
                self._file = spool.open_unnamed()
            spool.write_all(self._file, data, at)

    def _read(self, at: int, size: int) -> bytes:
        with self._lock:
            if self._is_closed or self._file is None:
                return b""
            return os.pread(self._file.fileno(), size, at)
