"""The last lines that a process has said, numbered, within a bound of lines and of characters."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

LINES, CHARS = 1000, 256 << 10
# Of one line; the rest of a longer one is left out.
LINE_CHARS = 8 << 10


class Lines(NamedTuple):
    """Some of them, in their order, and the number of the last there is."""

    lines: list[str]
    last: int


class RecentLines:
    """Any thread may add a line."""

    def __init__(self, lines: int = LINES, chars: int = CHARS) -> None:
        self._kept: deque[str] = deque()
        self._most_lines = lines
        self._most_chars = chars
        self._chars = 0
        self._last = 0
        self._lock = threading.Lock()

    def add(self, line: str) -> None:
        """``line`` without its end; a text of several lines is several."""
        for each in line.split("\n") if "\n" in line else (line,):
            self._add(each if len(each) <= LINE_CHARS else each[:LINE_CHARS] + "...")

    def tail(self, count: int, after: int = 0) -> Lines:
        """The last ``count`` of those behind line ``after``. A number that is not there yet is from
        before a restart: then of all."""
        with self._lock:
            last, kept = self._last, list(self._kept)
        fresh = last - after if after <= last else len(kept)
        wanted = min(count, fresh, len(kept))
        return Lines(kept[len(kept) - wanted :], last)

    def _add(self, line: str) -> None:
        with self._lock:
            self._kept.append(line)
            self._chars += len(line)
            self._last += 1
            while len(self._kept) > self._most_lines or self._chars > self._most_chars:
                self._chars -= len(self._kept.popleft())
