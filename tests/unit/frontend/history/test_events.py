"""Events: each is kept once, over restarts of the frontend and of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from frontend.dispatch.event_feed import KEPT, EventFeed
from frontend.history.events import EventHistory
from frontend.store.database import Database
from frontend.store.tables import tables
from ipc.messages.admin import BoxEvent
from ipc.messages.control import HistoryConfig

NOW_S = 1_800_000_000.0


def run_of(count: int, began_s: float = NOW_S) -> list[BoxEvent]:
    """What a server tells that has begun then: one a second."""
    return [
        BoxEvent(seq=seq, time_s=began_s + seq, type="model.state", model="m", facts={"n": seq})
        for seq in range(1, count + 1)
    ]


@asynccontextmanager
async def frontend(file: Path | None, told: Iterable[BoxEvent] = ()) -> AsyncIterator[EventHistory]:
    """One frontend, which has been told of these."""
    store = Database(file, tables(HistoryConfig()), 8 << 20, wall_s=lambda: NOW_S)
    store.begin()
    feed = EventFeed()
    history = EventHistory(feed, store)
    feed.add(told)
    try:
        yield history
    finally:
        history.end()
        store.end()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_a_new_frontend_is_told_again_and_keeps_each_once(tmp_path: Path) -> None:
    async def test() -> None:
        events = run_of(3)
        async with frontend(tmp_path / "h.db", events):
            pass
        async with frontend(tmp_path / "h.db", events):
            pass
        async with frontend(tmp_path / "h.db") as last:
            assert await last.since(NOW_S) == events

    run(test)


def test_those_of_earlier_runs_come_by_their_time_and_none_twice(tmp_path: Path) -> None:
    async def test() -> None:
        before, now = run_of(3), run_of(2, NOW_S + 100)
        async with frontend(tmp_path / "h.db", before):
            pass
        async with frontend(tmp_path / "h.db", now) as history:
            assert await history.since(NOW_S) == before
            assert await history.since(NOW_S + 2.5) == before[2:]
            assert await history.since(NOW_S + 50) == []

    run(test)


def test_who_was_away_for_long_gets_what_the_feed_has_no_more(tmp_path: Path) -> None:
    async def test() -> None:
        events = run_of(KEPT + 10, NOW_S + 100)
        async with frontend(tmp_path / "h.db", run_of(5)):
            pass
        async with frontend(tmp_path / "h.db", events) as history:
            assert await history.between(3) == events[3:10]
            assert await history.between(9) == [events[9]]
            assert await history.between(10) == []
            assert await history.between(0) == events[:10]  # and none of the run before

    run(test)


def test_without_a_file_there_is_nothing_from_before() -> None:
    async def test() -> None:
        async with frontend(None, run_of(KEPT + 10)) as history:
            assert await history.between(3) == []
            assert await history.since(0.0) == []

    run(test)
