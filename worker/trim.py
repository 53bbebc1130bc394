"""Memory that a worker has freed, and that glibc has kept, goes back to the system in idle time."""

from __future__ import annotations

# So long without work, and its freed memory is given back: once, until there was work again. Who
# asks without a pause has the same memory again at once, and nothing to gain.
IDLE_S = 10.0


class IdleTrim:
    """When a worker is to give memory back: once after each time of work."""

    def __init__(self) -> None:
        self._has_worked = False
        self._idle_since: float | None = None

    def worked(self) -> None:
        self._has_worked = True
        self._idle_since = None

    def due(self, now: float) -> bool:
        """Whether it is to do so now, having nothing to do; ``now`` in monotonic seconds."""
        if not self._has_worked:
            return False
        if self._idle_since is None:
            self._idle_since = now
        is_due = now - self._idle_since >= IDLE_S
        self._has_worked = not is_due
        return is_due
