"""Turns of the event loop for large pieces of work, so that small requests come between any two.

To read 20 MB of JSON takes the loop some tens of milliseconds, which no thread can take off it: the
reader holds Python's lock. Several of them in a row would keep everybody else waiting for their
sum. So they queue here, and after each one the loop looks at what else has come.
"""

from __future__ import annotations

import asyncio
from collections import deque

# For the loop to accept, read and answer what came meanwhile: some turns of it.
REST_S = 0.002


class Turns:
    """One large piece of work, then a rest, then the next, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = False

    async def take(self) -> None:
        """Returns when it is the caller's turn, which lasts until it next waits for anything."""
        loop = asyncio.get_running_loop()
        if self._taken:
            mine: asyncio.Future[None] = loop.create_future()
            self._waiting.append(mine)
            await mine  # if it is cancelled once it has its turn, the rest comes all the same
            return
        self._take(loop)

    def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        self._taken = True
        # Not counted from now: the work that comes first is what others have to be spared.
        loop.call_soon(lambda: loop.call_later(REST_S, self._pass_on, loop))

    def _pass_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._taken = False
        while self._waiting:
            following = self._waiting.popleft()
            if not following.done():  # else its request has been given up
                following.set_result(None)
                loop.call_soon(self._take, loop)
                self._taken = True
                return
