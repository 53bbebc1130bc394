"""What has happened to the server, newest last: numbered, kept for a while and told."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from ipc.messages.admin import BoxEvent

logger = logging.getLogger(__name__)

# How many are kept for who comes later.
KEPT = 1000


class EventLog:
    """Owns the numbers. ``wall_s`` tells seconds since 1970; ``tell`` passes a new event on."""

    def __init__(self, wall_s: Callable[[], float], tell: Callable[[BoxEvent], None]) -> None:
        self._wall_s = wall_s
        self._tell = tell
        self._kept: deque[BoxEvent] = deque(maxlen=KEPT)
        self._seq = 0

    @property
    def kept(self) -> list[BoxEvent]:
        """Those that are kept, in their order."""
        return list(self._kept)

    def add(self, kind: str, model: str | None = None, **facts: Any) -> None:
        """This has happened just now. ``facts`` are JSON-ready."""
        self._seq += 1
        event = BoxEvent(seq=self._seq, time_s=self._wall_s(), type=kind, model=model, facts=facts)
        self._kept.append(event)
        self._tell(event)
