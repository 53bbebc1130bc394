"""What has happened to the server, as the supervisor tells it, for those who follow it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable

from ipc.messages.admin import BoxEvent

# How many are kept for who comes later, as many as the supervisor keeps.
KEPT = 1000


class EventFeed:
    """Owns the newest events. Who follows them reads at his own pace, and misses those that are
    gone by the time that he comes to them."""

    def __init__(self) -> None:
        self._kept: deque[BoxEvent] = deque(maxlen=KEPT)
        self._changed = asyncio.Event()

    def add(self, events: Iterable[BoxEvent]) -> None:
        """These have happened. Some may be known."""
        newest = self._kept[-1].seq if self._kept else 0
        self._kept.extend(event for event in events if event.seq > newest)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def after(self, seq: int) -> list[BoxEvent]:
        """Those that are kept and came after the one with this number."""
        return [event for event in self._kept if event.seq > seq]

    @property
    def newest(self) -> int:
        """The number of the last one, 0 where there is none."""
        return self._kept[-1].seq if self._kept else 0

    async def follow(self, seq: int) -> AsyncIterator[BoxEvent]:
        """Those after the one with this number, and from then on each as it comes, without end."""
        while True:
            changed = self._changed
            for event in self.after(seq):
                seq = event.seq
                yield event
            if not self.after(seq):
                await changed.wait()
