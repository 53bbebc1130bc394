"""When a worker that works is replaced by a fresh one: before its leak is everybody's problem.

Pure: measurements in, a reason out. A recycle is planned: the worker finishes what it has, and its
end counts neither for the backoff nor for the circuit, unless the kernel ends it for its memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from ipc.messages.control import Counters

# Between two recycles of one worker; a limit that is too tight must not become an outage.
REST_S = 60.0
# Above the limit from which a worker is recycled: that one is looked at once a second, and lets
# jobs in hand finish. Only where a worker has a cgroup of its own.
HARD_LIMIT = 1.5


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker may come to. 0: no limit.

    ``memory_mb`` is of resident memory, ``jobs`` counts finished ones, ``drain_s`` is how long
    those in hand may take to end.
    """

    memory_mb: int = 0
    jobs: int = 0
    drain_s: float = 30.0

    def __bool__(self) -> bool:
        return self.memory_mb > 0 or self.jobs > 0

    def too_tight(self, base_mb: float) -> str | None:
        """What to say of a memory limit below ``base_mb``, which the model takes when just loaded:
        a fresh worker would be no better, so the limit is not used."""
        if not self.memory_mb or base_mb < self.memory_mb:
            return None
        return (
            f"takes {base_mb:.0f} MB as soon as it is loaded, so its memory_limit_mb of "
            f"{self.memory_mb} is not used; raise it"
        )

    def hard_mb(self, base_mb: float) -> float | None:
        """The memory that the kernel should not let it have, where it may have any limit."""
        if not self.memory_mb or self.too_tight(base_mb):
            return None
        return HARD_LIMIT * self.memory_mb

    def exceeded(self, rss_mb: float, base_mb: float, jobs: int) -> str | None:
        """Why a worker with this memory and so many jobs done should be replaced, if it should."""
        if self.memory_mb and rss_mb > self.memory_mb > base_mb:
            return f"it takes {rss_mb:.0f} MB, over its memory_limit_mb of {self.memory_mb}"
        if self.jobs and jobs >= self.jobs:
            return f"it has done {jobs} jobs, and recycle_jobs is {self.jobs}"
        return None


UNLIMITED = Limits()


class RecycleWatch:
    """Owns what one worker took when it had just become ready, and when it was last recycled."""

    def __init__(self, limits: Limits = UNLIMITED) -> None:
        self.limits = limits
        self._base_mb: float | None = None
        self._recycled_at: float | None = None

    def on_start(self) -> None:
        self._base_mb = None

    def on_recycle(self, now: float) -> None:
        self._recycled_at = now

    @property
    def hard_limit_mb(self) -> float | None:
        """What the kernel should hold its memory to, known once it is ready."""
        return None if self._base_mb is None else self.limits.hard_mb(self._base_mb)

    def warning(self, rss_mb: float) -> str | None:
        """What to say of the memory of one that has just become ready, if anything."""
        if self._base_mb is not None:
            return None
        self._base_mb = rss_mb
        return self.limits.too_tight(rss_mb)

    def reason(self, rss_mb: float, counters: Counters, now: float) -> str | None:
        """Why a ready one with this memory should be replaced, if it should, and may be by now."""
        if self._recycled_at is not None and now - self._recycled_at < REST_S:
            return None
        base_mb = rss_mb if self._base_mb is None else self._base_mb
        return self.limits.exceeded(rss_mb, base_mb, counters.jobs) or counters.worn or None
