"""What other threads bring to an engine's step."""

from __future__ import annotations

import contextlib
import queue
from typing import Generic, TypeVar

T = TypeVar("T")


class Arrivals(Generic[T]):
    """A queue that a step empties. ``wait_s`` bounds how long it waits for the first one, and so
    how long a new job or a cancellation waits for the step."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._queue: queue.SimpleQueue[T] = queue.SimpleQueue()

    def put(self, one: T) -> None:
        self._queue.put(one)

    def drain(self) -> list[T]:
        """Everything that is there; nothing where the first one does not come in time."""
        arrived: list[T] = []
        with contextlib.suppress(queue.Empty):
            arrived.append(self._queue.get(timeout=self._wait_s))
            while True:
                arrived.append(self._queue.get_nowait())
        return arrived
