"""What was said before, for as long as a conversation goes on. Pure but for its clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

MOST = 256
MOST_TURNS = 10
KEPT_S = 15 * 60.0
MAX_ID_CHARS = 256


class Turn(NamedTuple):
    """What was asked, and what was answered."""

    asked: str
    answered: str


class Conversations:
    """The last turns of the last conversations, in memory only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, list[Turn]]] = {}  # the one spoken last comes last

    def turns(self, conversation: str | None) -> list[Turn]:
        """Those of ``conversation``, the last one last; without a name there is none before."""
        self._forget()
        return list(self._kept[conversation][1]) if conversation in self._kept else []

    def add(self, conversation: str | None, turn: Turn) -> None:
        if conversation is None:
            return
        turns = [*self.turns(conversation), turn][-MOST_TURNS:]
        self._kept.pop(conversation, None)
        self._kept[conversation] = (self._clock(), turns)
        if len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]

    def _forget(self) -> None:
        before = self._clock() - KEPT_S
        old = [name for name, (at, _) in self._kept.items() if at <= before]
        for name in old:
            del self._kept[name]
