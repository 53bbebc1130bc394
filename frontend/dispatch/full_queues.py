"""Which full queues are told of: the first request that is refused, then a count now and then.

Under overload most requests are refused, and each of them would be an event.
"""

from __future__ import annotations

import math

# While a queue stays full, how often that is told.
EVERY_S = 10.0


class FullQueues:
    """Counts refusals by model. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._told_at: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def refused(self, model: str, now: float) -> int:
        """One more request is refused: how many there were since it was told last, if it is to be
        told now; else 0."""
        count = self._untold[model] = self._untold.get(model, 0) + 1
        if now - self._told_at.get(model, -math.inf) < EVERY_S:
            return 0
        self._told_at[model], self._untold[model] = now, 0
        return count
