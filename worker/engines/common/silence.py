"""For how long a library that runs on threads of its own has said nothing, though it could."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from worker.schedstat import waited_s


class Silence:
    """The seconds since `hear`, without those in which the thread that asks for them waited for a
    processor: then the library's threads had none either.

    A process of low priority on a busy machine may wait for nearly all of its time.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        waited_s: Callable[[], float] = waited_s,
    ) -> None:
        self._now = now
        self._waited_s = waited_s
        self._heard_at = now()
        self._looked_at = -math.inf  # that of the last look
        self._excused_s = 0.0

    def hear(self) -> None:
        """It has said something, or has only now got something to say; from any thread."""
        self._heard_at = self._now()

    def seconds(self) -> float:
        """To be asked by one thread alone, and often: what is excused counts from its first look
        since `hear`."""
        heard_at, waited_s = self._heard_at, self._waited_s()
        if heard_at != self._looked_at:
            self._looked_at, self._excused_s = heard_at, waited_s
        return self._now() - heard_at - (waited_s - self._excused_s)
