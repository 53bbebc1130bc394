"""When a replica that says nothing is given up: soon where words come steadily, later where a box
or the network is slow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from worker.cluster import messages

# How often it is looked. A look that comes late shows that this process was kept from running: it
# could have heard nothing in that time, so that counts as two looks at most.
LOOK_S = 0.25
# A silence of so many times the longest one of late is none any more.
FACTOR = 4.0
# For how long the longest one is remembered, at least.
WINDOW_S = 30.0


class Pace:
    """Owns how long words have been apart lately. Pure; times are monotonic seconds."""

    def __init__(self) -> None:
        self._worst_s = 0.0
        self._before_s = 0.0  # of the window before this one
        self._began_at = 0.0

    def note(self, apart_s: float, now: float) -> None:
        """A word has come so long after the one before."""
        if now - self._began_at >= WINDOW_S:
            self._before_s = self._worst_s if now - self._began_at < 2 * WINDOW_S else 0.0
            self._worst_s, self._began_at = 0.0, now
        self._worst_s = max(self._worst_s, apart_s)

    @property
    def patience_s(self) -> float:
        """For how long a replica may say nothing."""
        expected_s = FACTOR * max(self._worst_s, self._before_s)
        return min(max(expected_s, messages.SILENT_LEAST_S), messages.SILENT_S)


class Call:
    """One call. Before its first word it waits for as long as its caller has said."""

    def __init__(self, watch: Watch, timeout: asyncio.Timeout) -> None:
        self._watch = watch
        self._timeout = timeout
        self.heard = False
        self.silent_s = 0.0

    def on_word(self) -> None:
        """The replica has said something, be it that it lives."""
        now = asyncio.get_running_loop().time()
        self._watch.heard_at = now
        if self.heard:
            self._watch.pace.note(self.silent_s, now)
        else:
            self.heard = True
            self._timeout.reschedule(None)  # from here on by how steadily words come
        self.silent_s = 0.0

    @property
    def given_up(self) -> bool:
        """Whether it has ended for want of a word."""
        return self._timeout.expired()

    def give_up(self) -> None:
        self._timeout.reschedule(asyncio.get_running_loop().time())


class Watch:
    """Owns for how long each call has been silent. All on one event loop."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.heard_at: float | None = None  # when any replica has said something last
        self._calls: set[Call] = set()
        self._looking: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def call(self, first_s: float) -> AsyncIterator[Call]:
        """A call whose first word has ``first_s`` to come. Raises `TimeoutError` in the block where
        it is given up."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        async with asyncio.timeout(first_s) as timeout:
            call = Call(self, timeout)
            self._calls.add(call)
            try:
                yield call
            finally:
                self._calls.discard(call)

    def hears_none(self, for_s: float) -> bool:
        """Whether no replica has said anything for so long."""
        now = asyncio.get_running_loop().time()
        return self.heard_at is None or now - self.heard_at >= for_s

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began_at = loop.time()
            await asyncio.sleep(LOOK_S)
            passed_s = min(loop.time() - began_at, 2 * LOOK_S)
            for call in [one for one in self._calls if one.heard]:
                call.silent_s += passed_s
                if call.silent_s >= self.pace.patience_s:
                    call.give_up()
