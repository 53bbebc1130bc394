"""Whether a request that one server has not answered is sent to another. No sockets in here.

What has begun is not: its client has read the beginning, and another server would begin anew. What
a server refuses for now (503, 429), or was not reached for, is sent to each of the others. Where a
server broke off that had the request, or failed at it, the request itself may be the cause: then to
one more.
"""

from __future__ import annotations

from ipc.messages.errors import InternalError, QueueFull, ServeError, Unavailable, WorkerCrashed

MOST_BROKEN = 2


class Attempts:
    """The servers that a request was sent to without an answer."""

    def __init__(self) -> None:
        self.tried: list[int] = []
        self._broken = 0

    def may_follow(self, at: int, error: ServeError, *, begun: bool) -> bool:
        """Whether another server may be asked, after this one has ended it by ``error``."""
        self.tried.append(at)
        self._broken += isinstance(error, WorkerCrashed | InternalError)
        if begun or self._broken >= MOST_BROKEN:
            return False
        return isinstance(error, Unavailable | QueueFull | InternalError)
