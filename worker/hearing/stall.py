"""Whether what a model has in hand stands still, or only had no processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from worker.schedstat import waits_s


class StallClock:
    """Counts from ``since`` on, without the seconds in which a thread waited for a processor: of
    all threads that one counts which waited longest, since a library computes on threads of its
    own. On a busy machine a piece may take ten times as long as it does alone."""

    def __init__(self, since: float, waits_s: Callable[[], Mapping[str, float]] = waits_s) -> None:
        self._since = since
        self._waits_s = waits_s
        self._before: Mapping[str, float] | None = None
        self._starved_s = 0.0

    def exceeds(self, limit_s: float, now: float) -> bool:
        """Whether more than ``limit_s`` have been counted. To be asked often: what threads waited
        for is seen from a quarter of that on, since to look takes longer than most pieces may."""
        taken_s = now - self._since
        if self._before is None and taken_s > limit_s / 4:
            self._before = self._waits_s()
        if taken_s - self._starved_s <= limit_s:
            return False
        before = self._before or {}
        waits = self._waits_s().items()
        self._starved_s = max((s - before.get(thread, s) for thread, s in waits), default=0.0)
        return taken_s - self._starved_s > limit_s
