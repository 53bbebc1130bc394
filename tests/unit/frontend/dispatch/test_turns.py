"""Large pieces of work, one at a time, and others in between."""

from __future__ import annotations

import asyncio

from frontend.dispatch.turns import Turns


async def order(events: list[str], turns: Turns, name: str) -> None:
    await turns.take()
    events.append(name)


def test_between_two_large_pieces_of_work_others_come() -> None:
    async def run() -> list[str]:
        events: list[str] = []
        turns = Turns()

        async def small() -> None:
            while events.count("large") < 3:
                events.append("small")
                await asyncio.sleep(0)

        large = [order(events, turns, "large") for _ in range(3)]
        async with asyncio.timeout(20):
            await asyncio.gather(*large, small())
        return events

    events = asyncio.run(run())
    first, second, third = (at for at, event in enumerate(events) if event == "large")
    # It takes some turns of the loop to accept a request, to read it and to answer it.
    assert second - first > 3
    assert third - second > 3


def test_turns_come_in_order_and_pass_over_whoever_has_given_up() -> None:
    async def run() -> list[str]:
        events: list[str] = []
        turns = Turns()
        tasks = [asyncio.create_task(order(events, turns, name)) for name in "abcd"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks, return_exceptions=True)
            await turns.take()
        return events

    assert asyncio.run(run()) == ["a", "c", "d"]
