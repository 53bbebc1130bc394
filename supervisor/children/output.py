"""What a child prints, and what those print that it has started: kept for who asks, and passed on.

It is read as it comes, line by line; the child never waits for whoever reads our own log.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from ipc.runtime.recent_lines import LINE_CHARS, RecentLines

# At once, so that one that prints without a pause leaves time for all else; its lines may be short.
_READ_BYTES = 16 << 10
# What a pipe holds, and one more to see its end.
_READS = 5


class Output:
    """A pipe from a child that is to be started with ``fd`` as its standard output and error; then
    `on_started` is to be called. It lives until all have closed it who could write to it."""

    def __init__(self, kept: RecentLines, pass_on: Callable[[str], None]) -> None:
        self._kept = kept
        self._pass_on = pass_on
        self._rest = b""  # a line that has not ended yet
        self._read_end, self.fd = os.pipe()
        os.set_blocking(self._read_end, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_end, self._read_some)
        self.ended = asyncio.Event()  # nobody can write to it any more

    def on_started(self) -> None:
        """The child has its end, or there will be none."""
        os.close(self.fd)

    def read(self) -> None:
        """Take all that is there now; whoever goes on to write is read later."""
        for _ in range(_READS):
            if self.ended.is_set() or not self._read_some():
                return

    def _read_some(self) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(self._read_end, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close()
            return False
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._take(line)
        if len(self._rest) > LINE_CHARS:
            self._take(self._rest)
            self._rest = b""
        return True

    def _close(self) -> None:
        self.ended.set()
        self._loop.remove_reader(self._read_end)
        os.close(self._read_end)
        if self._rest:
            self._take(self._rest)

    def _take(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace")
        self._kept.add(text)
        self._pass_on(text)
