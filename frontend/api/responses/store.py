"""Responses that may be asked for again. They are in memory only, and a restart forgets them.

A response that goes on from another names it, so a conversation is a chain. Using one uses all that
it goes on from: what is forgotten first is what nobody has asked for the longest.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

MAX_RESPONSES = 1000
MAX_BYTES = 64 << 20
# Since it was last used.
MAX_AGE_S = 3600.0
# What an entry takes beside its texts, about.
ENTRY_BYTES = 1 << 10


@dataclass(frozen=True, slots=True)
class Stored:
    """``response`` is the object that the client got, ``items`` are those of its request alone,
    both as JSON; ``previous_id`` is the response that it goes on from."""

    id: str
    response: bytes
    items: bytes
    previous_id: str | None = None

    @property
    def size_bytes(self) -> int:
        return len(self.response) + len(self.items) + ENTRY_BYTES


@dataclass(slots=True)
class _Entry:
    stored: Stored
    used_at: float


class ResponseStore:
    """Keeps so many, so large together, for so long. What was made with one API key is there for
    that one only: each ``key`` is the name of one, None where there are none."""

    def __init__(
        self,
        *,
        max_responses: int = MAX_RESPONSES,
        max_bytes: int = MAX_BYTES,
        max_age_s: float = MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_responses = max_responses
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._entries: OrderedDict[tuple[str | None, str], _Entry] = OrderedDict()
        self.size_bytes = 0
        self._keys: Collection[str] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, key: str | None, stored: Stored) -> None:
        """Keep ``stored``, and forget what there is no more room for: one that is too large by
        itself is forgotten at once, and so is one whose key was removed while it was made."""
        if key is not None and self._keys is not None and key not in self._keys:
            return
        self._entries[key, stored.id] = _Entry(stored, self._clock())
        self.size_bytes += stored.size_bytes
        self._tidy()

    def find(self, key: str | None, response_id: str) -> Stored | None:
        self._tidy()
        entry = self._entries.get((key, response_id))
        return None if entry is None else entry.stored

    def chain(self, key: str | None, response_id: str) -> list[Stored] | None:
        """The response and all that it goes on from, the first one first; None where any of them
        is not there any more."""
        self._tidy()
        found: list[Stored] = []
        wanted: str | None = response_id
        while wanted is not None:
            entry = self._entries.get((key, wanted))
            if entry is None:
                return None
            found.append(entry.stored)
            wanted = entry.stored.previous_id
        found.reverse()
        for stored in found:
            self._use(key, stored.id)
        return found

    def remove(self, key: str | None, response_id: str) -> bool:
        """Forget it; whether it was there."""
        self._tidy()
        entry = self._entries.pop((key, response_id), None)
        if entry is not None:
            self.size_bytes -= entry.stored.size_bytes
        return entry is not None

    def know(self, keys: Collection[str]) -> None:
        """There are these keys from now on: what was made with others is forgotten."""
        self._keys = keys
        gone = [place for place in self._entries if place[0] is not None and place[0] not in keys]
        for key, response_id in gone:
            self.remove(key, response_id)

    def _use(self, key: str | None, response_id: str) -> None:
        self._entries[key, response_id].used_at = self._clock()
        self._entries.move_to_end((key, response_id))

    def _tidy(self) -> None:
        """The least recently used come first."""
        oldest_at = self._clock() - self._max_age_s
        while self._entries:
            entry = next(iter(self._entries.values()))
            crowded = len(self) > self._max_responses or self.size_bytes > self._max_bytes
            if not crowded and entry.used_at > oldest_at:
                return
            self._entries.popitem(last=False)
            self.size_bytes -= entry.stored.size_bytes
