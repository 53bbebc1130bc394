"""When a replica counts as silent: by how steadily words have come of late."""

from __future__ import annotations

import asyncio
import time

import pytest

from worker.cluster import messages, silence
from worker.cluster.silence import FACTOR, WINDOW_S, Pace, Watch


def pace(*words: tuple[float, float]) -> Pace:
    """Words, each at a time, so long after the one before."""
    found = Pace()
    for now, apart_s in words:
        found.note(apart_s, now)
    return found


def test_where_words_come_steadily_a_silence_is_soon_noticed() -> None:
    assert pace((1.0, 0.25), (2.0, 0.25)).patience_s == messages.SILENT_LEAST_S


def test_where_they_come_slowly_it_is_waited_for_longer() -> None:
    assert pace((1.0, 0.25), (2.0, 1.0), (3.0, 0.25)).patience_s == FACTOR * 1.0


def test_nobody_is_waited_for_longer_than_that() -> None:
    assert pace((1.0, 4.0)).patience_s == messages.SILENT_S


def test_a_slow_time_is_forgotten_after_a_while() -> None:
    slow = (1.0, 4.0)
    soon, later = 1.0 + WINDOW_S, 1.0 + 2 * WINDOW_S
    assert pace(slow, (soon, 0.25)).patience_s == messages.SILENT_S
    assert pace(slow, (soon, 0.25), (later, 0.25)).patience_s == messages.SILENT_LEAST_S
    assert pace(slow, (later + 1, 0.25)).patience_s == messages.SILENT_LEAST_S


def test_a_pause_of_this_process_is_no_silence_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What had come by then could not be heard."""
    monkeypatch.setattr(messages, "SILENT_LEAST_S", 0.5)
    monkeypatch.setattr(silence, "LOOK_S", 0.05)

    async def heard() -> bool:
        async with Watch().call(5.0) as call:
            call.on_word()
            await asyncio.sleep(0.1)
            time.sleep(0.7)  # noqa: ASYNC251 - the pause
            await asyncio.sleep(0.1)
            call.on_word()
            return True

    assert asyncio.run(heard())


def test_a_word_of_any_replica_shows_that_some_are_reached() -> None:
    async def hears() -> list[bool]:
        watch = Watch()
        found = [watch.hears_none(60.0)]
        async with watch.call(60.0) as call:
            found.append(watch.hears_none(60.0))
            call.on_word()
        return [*found, watch.hears_none(60.0), watch.hears_none(0.0)]

    assert asyncio.run(hears()) == [True, True, False, True]
