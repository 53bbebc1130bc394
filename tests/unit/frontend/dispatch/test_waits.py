"""How often time is looked at: while nobody asks, seldom."""

from __future__ import annotations

import asyncio

import pytest

from frontend.dispatch import waits
from tests.unit.frontend.dispatch.history import History, Step

ONE: list[Step] = [("start w.1", ["connect w.1"]), ("open w.1", [])]


def test_a_queue_is_at_rest_while_no_job_is_open() -> None:
    history = History().play(*ONE)
    assert history.dispatcher.at_rest
    history.play(("ask a", ["send a to w.1"]))
    assert not history.dispatcher.at_rest
    assert history.dispatcher.asked.is_set()
    history.play(("done a from w.1", ["a: done"]))
    assert history.dispatcher.at_rest


def test_a_job_that_was_dropped_is_open_until_its_worker_says_so() -> None:
    history = History().play(*ONE, ("ask a", ["send a to w.1"]), ("leave a", ["cancel a at w.1"]))
    assert not history.dispatcher.at_rest


def test_whoever_asks_wakes_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rest without end ends with the next job."""
    monkeypatch.setattr(waits, "REST_S", 3600.0)
    dispatcher = History().play(*ONE).dispatcher
    ticked = asyncio.Event()
    monkeypatch.setattr(dispatcher, "tick", ticked.set)

    async def ask_at_rest() -> None:
        clock = asyncio.create_task(waits.tick(dispatcher))
        async with asyncio.timeout(30):
            await ticked.wait()
            ticked.clear()
            dispatcher.asked.set()
            await ticked.wait()
        clock.cancel()

    asyncio.run(ask_at_rest())
