"""The memory of all requests together: bodies on their way in, jobs, answers that wait to be read.

Each request has a `Claim` on the one `Budget`, and adds to it what it holds, before it holds it. So
many bytes and no more: what would exceed them is refused with 503, whoever asks. A claim below
`FREE_BYTES` is not counted: small requests pass when large ones have filled the budget, and what
all of them may hold is bounded by the number of connections.

Pure but for `Claim.turn`: the numbers are estimates, made by those who know what is copied where.
"""

from __future__ import annotations

from frontend.dispatch.turns import Turns
from ipc.messages.errors import OutOfMemory

# A chat of some pages. Times MAX_CONNECTIONS, it is a bound of its own.
FREE_BYTES = 256 << 10
# As long as large requests take to be read and handed on. Nobody knows when a slow reader ends.
RETRY_AFTER_S = 2.0


class Budget:
    """So many bytes for all requests. One that is alone may have more: its own limits bound it."""

    def __init__(self, limit_bytes: int, turns: Turns | None = None) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.turns = turns or Turns()

    def open(self) -> Claim:
        """The claim of a new request, held by whoever opens it."""
        return Claim(self)


class Claim:
    """What one request holds, and who still holds it: the request itself, and its job.

    Whoever `hold`s it has to `release` it, once. With the last of them all is given back, and what
    is added later counts for nothing.
    """

    __slots__ = ("_budget", "_counted", "_holders", "size_bytes")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._holders = 1
        self._counted = 0
        self.size_bytes = 0

    @property
    def is_large(self) -> bool:
        return self.size_bytes > FREE_BYTES

    def add(self, more_bytes: int) -> None:
        """It is about to hold so much more. Raises `OutOfMemory`, and holds what it held."""
        size = self.size_bytes + more_bytes
        if size > FREE_BYTES:
            self.expect(more_bytes)
        self.size_bytes = size
        if size > FREE_BYTES:
            self._count()

    def expect(self, more_bytes: int) -> None:
        """It will hold so much more in a while. Raises `OutOfMemory` where there is no room now."""
        size = self.size_bytes + more_bytes
        others = self._budget.held_bytes - self._counted
        if size > FREE_BYTES and others and others + size > self._budget.limit_bytes:
            raise OutOfMemory(
                "the server's memory for requests is full of others; try again after the time in "
                "Retry-After, send less at once, or raise FRONTEND_MEMORY_MB",
                retry_after_s=RETRY_AFTER_S,
            )

    def subtract(self, fewer_bytes: int) -> None:
        """So much of it is no longer held."""
        self.size_bytes -= fewer_bytes
        self._count()

    def hold(self) -> Claim:
        """One more has to release it."""
        self._holders += 1
        return self

    def release(self) -> None:
        self._holders -= 1
        if self._counted:
            self._count()

    async def turn(self) -> None:
        """Wait until a large piece of work may be done in one go. At once for a small request."""
        if self.is_large:
            await self._budget.turns.take()

    def _count(self) -> None:
        counted = self.size_bytes if self._holders and self.is_large else 0
        self._budget.held_bytes += counted - self._counted
        self._counted = counted
