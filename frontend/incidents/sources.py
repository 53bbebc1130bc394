"""Where the parts of a file come from: this process, the file that is kept for days, and the
supervisor."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.history.events import EventHistory
from frontend.history.request_rows import Wanted
from frontend.history.requests import Requests
from frontend.history.sampling import Sampling
from ipc.messages.admin import BoxEvent, GetHealth, ReadLog

ANSWER_S = 5.0
# Those of five minutes at 16 a second; of more the newest.
MOST_REQUESTS = 5000
MOST_SAMPLES = 100


class LiveSources:
    """Those of a running frontend."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        control: Control,
        requests: Requests,
        events: EventHistory,
        sampling: Sampling,
        settings: dict[str, Any],
    ) -> None:
        self._dispatcher = dispatcher
        self._control = control
        self._requests = requests
        self._events = events
        self._sampling = sampling
        self._settings = settings

    def know(self, settings: dict[str, Any]) -> None:
        """These are in force from now on."""
        self._settings = settings

    async def requests(self, since_s: float) -> list[dict[str, Any]]:
        """Those that came since then, and what is worked on, however old."""
        page = await self._requests.page(Wanted(since_s=since_s), MOST_REQUESTS)
        # Thousands of them take a tenth of a second, in which nobody would be served.
        return await asyncio.to_thread(lambda: [msgspec.to_builtins(one) for one in page.records])

    async def events(self, since_s: float) -> list[BoxEvent]:
        recent = [one for one in self._events.feed.after(0) if one.time_s >= since_s]
        return [*await self._events.since(since_s), *recent]

    async def samples(self, since_s: float) -> list[dict[str, Any]]:
        found = await self._sampling.between(since_s, None, MOST_SAMPLES)
        return [msgspec.to_builtins(one) for one in found]

    async def report(self) -> dict[str, Any]:
        return await self._control.ask(GetHealth(), ANSWER_S)

    async def log(self, process: str, tail: int) -> list[str]:
        """Of a frontend that has died, its last words: the rest has gone with it."""
        told = await self._control.ask(ReadLog(process=process, tail=tail), ANSWER_S)
        lines: list[str] = told["lines"]
        return lines

    def settings(self) -> dict[str, Any]:
        return self._settings

    def specs(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(one) for one in self._dispatcher.specs.values()]
