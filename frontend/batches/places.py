"""How many lines may be in hand at once, and how many bytes of them."""

from __future__ import annotations

import asyncio


class Places:
    """So many, of so many bytes together; one that is alone may have more."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._taken = self._bytes = 0
        self._changed = asyncio.Event()

    async def take(self, size_bytes: int) -> None:
        """Returns when there is a place, which is then taken. One caller at a time."""
        while self._taken and not self._fits(size_bytes):
            self._changed.clear()
            await self._changed.wait()
        self._taken += 1
        self._bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        self._taken -= 1
        self._bytes -= size_bytes
        self._changed.set()

    def _fits(self, size_bytes: int) -> bool:
        return self._taken < self._most and self._bytes + size_bytes <= self._most_bytes
