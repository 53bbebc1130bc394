"""Waiting for what the dispatcher notes, with a limit; and the clock that drives it."""

from __future__ import annotations

import asyncio
import contextlib

from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.dropped import TICK_S

REST_S = 1.0


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Whether it has happened by then."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
    return event.is_set()


async def tick(dispatcher: Dispatcher) -> None:
    """Enforce waiting times and deadlines, for as long as the process runs; while nobody asks
    there are none, and a box without work is to sleep."""
    while True:
        await asyncio.sleep(TICK_S)
        dispatcher.tick()
        if dispatcher.at_rest:
            dispatcher.asked.clear()
            await happens(dispatcher.asked, REST_S)
