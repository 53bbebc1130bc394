"""Who follows the events of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from frontend.dispatch.event_feed import EventFeed
from ipc.messages.admin import BoxEvent


def event(seq: int) -> BoxEvent:
    return BoxEvent(seq=seq, time_s=0.0, type="tick")


async def read(followed: AsyncIterator[BoxEvent], count: int) -> list[int]:
    async with asyncio.timeout(60):
        return [(await anext(followed)).seq for _ in range(count)]


def test_each_follower_begins_where_he_was_and_then_reads_on() -> None:
    async def follow() -> None:
        feed = EventFeed()
        feed.add([event(1), event(2)])
        first, late = feed.follow(0), feed.follow(1)
        assert (await read(first, 2), await read(late, 1)) == ([1, 2], [2])
        both = asyncio.gather(read(first, 1), read(late, 1))
        await asyncio.sleep(0)
        feed.add([event(3)])
        assert [*await both] == [[3], [3]]

    asyncio.run(follow())


def test_what_is_known_is_told_once() -> None:
    feed = EventFeed()
    feed.add([event(1), event(2)])
    feed.add([event(1), event(2), event(3)])  # as a new frontend is told all that are kept
    assert [one.seq for one in feed.after(0)] == [1, 2, 3]
    assert feed.newest == 3
