"""No more lines at once, and no more bytes of them, than there may be."""

from __future__ import annotations

import asyncio

from frontend.batches.places import Places


async def _waits(taking: asyncio.Task[None]) -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return not taking.done()


def test_a_place_is_waited_for() -> None:
    async def history() -> None:
        places = Places(most=2, most_bytes=100)
        await places.take(10)
        await places.take(10)
        third = asyncio.create_task(places.take(10))
        assert await _waits(third)
        places.give_back(10)
        assert not await _waits(third)

    asyncio.run(history())


def test_bytes_are_counted_but_one_alone_may_have_more() -> None:
    async def history() -> None:
        places = Places(most=9, most_bytes=100)
        await places.take(1000)
        second = asyncio.create_task(places.take(1))
        assert await _waits(second)
        places.give_back(1000)
        assert not await _waits(second)
        third = asyncio.create_task(places.take(100))
        assert await _waits(third)
        places.give_back(1)
        assert not await _waits(third)

    asyncio.run(history())
