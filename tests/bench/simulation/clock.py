"""Time as a list of what is due: nothing waits, and an hour is as long as what happens in it."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Happening = Callable[[], None]


class Clock:
    """Owns what is due. Times are seconds from the beginning; of two that are due at the same time
    the one that was said first happens first."""

    def __init__(self) -> None:
        self.now = 0.0
        self.happened = 0
        self._due: list[tuple[float, int, Happening]] = []
        self._number = 0

    def after(self, seconds: float, happening: Happening) -> None:
        """Let it happen in so many seconds."""
        self._number += 1
        heapq.heappush(self._due, (self.now + max(0.0, seconds), self._number, happening))

    def run(self) -> None:
        """Let all happen that is due, and what comes of it, until nothing is left."""
        while self._due:
            self.now, _, happening = heapq.heappop(self._due)
            self.happened += 1
            happening()
