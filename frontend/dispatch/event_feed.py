"""What has happened to the server, as the supervisor tells it, for those who follow it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

from ipc.messages.admin import BoxEvent

# How many are kept for who comes later, as many as the supervisor keeps.
KEPT = 1000


class EventFeed:
    """Owns the newest events. Who follows them reads at his own pace, and misses those that are
    gone by the time that he comes to them."""

    def __init__(self) -> None:
        self._kept: deque[BoxEvent] = deque(maxlen=KEPT)
        self._changed = asyncio.Event()
        self._keep: Callable[[BoxEvent], None] = lambda _: None

    def subscribe(self, keep: Callable[[BoxEvent], None]) -> None:
        """Have ``keep`` called with each that is kept here, and with each that comes."""
        self._keep = keep
        for event in self._kept:
            keep(event)

    def add(self, events: Iterable[BoxEvent]) -> None:
        """These have happened. Some may be known."""
        newest = self._kept[-1].seq if self._kept else 0
        for event in events:
            if event.seq > newest:
                self._kept.append(event)
                self._keep(event)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def after(self, seq: int) -> list[BoxEvent]:
        """Those that are kept and came after the one with this number."""
        return [event for event in self._kept if event.seq > seq]

    @property
    def oldest(self) -> BoxEvent | None:
        """The first one that is kept."""
        return self._kept[0] if self._kept else None

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
