"""Samples: what stood then, what was done since the one before; fewer of them the older."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from frontend.history.samples import Meter, ModelSample, Sample, at_most, by_minute, merged
from frontend.history.sampling import Sampling
from frontend.store.database import Database, Unavailable
from frontend.store.tables import tables
from ipc.messages.control import HistoryConfig

NOW_S = 1_800_000_000.0  # the beginning of a minute
BOX = {"cpu_percent": 50.0, "memory_total_mb": 1000, "memory_available_mb": 600}


def worker(name: str = "chat-1", generation: int = 1, **facts: Any) -> dict[str, Any]:
    return {"replica": name, "generation": generation, "rss_mb": 100.0, **facts}


def report(*workers: dict[str, Any]) -> dict[str, Any]:
    return {"box": BOX, "models": [{"name": "org/chat", "replicas": list(workers)}]}


def at(time_s: float, **model: Any) -> Sample:
    models = {"org/chat": ModelSample(**model)} if model else {}
    return Sample(
        time_s=NOW_S + time_s,
        cpu_percent=10.0,
        memory_used_mb=400,
        memory_total_mb=1000,
        models=models,
    )


def test_a_sample_tells_what_stands_and_what_was_done_since_the_last() -> None:
    meter = Meter()
    queues = {"org/chat": {"depth": 2, "in_flight": 1}}
    first = meter.sample(report(worker(jobs=5, completion_tokens=50)), queues, NOW_S)
    assert first == Sample(
        time_s=NOW_S,
        cpu_percent=50.0,
        memory_used_mb=400,
        memory_total_mb=1000,
        models={"org/chat": ModelSample(resident_mb=100.0, waiting=2, in_hand=1)},
    )
    second = meter.sample(
        report(worker(jobs=7, completion_tokens=80), worker("chat-2", prompt_tokens=9)), {}, NOW_S
    )
    assert second.models == {"org/chat": ModelSample(resident_mb=200.0, done=2, written=30, read=9)}


def test_a_worker_that_was_replaced_counts_from_its_own_start() -> None:
    meter = Meter()
    meter.sample(report(worker(jobs=100)), {}, NOW_S)
    told = meter.sample(report(worker(generation=2, jobs=3)), {}, NOW_S)
    assert told.models["org/chat"].done == 3


def test_a_model_of_which_nothing_is_to_be_told_is_left_out() -> None:
    assert Meter().sample(report(), {}, NOW_S).models == {}


def test_several_are_one_by_the_means_of_what_stands_and_the_sums_of_what_was_done() -> None:
    told = merged([at(0, waiting=2, done=3), at(10), at(20, waiting=4, done=1)])
    assert told == at(20, waiting=2.0, done=4)


def test_minutes_that_are_over_are_one_sample_each() -> None:
    over, rest = by_minute([at(0, done=1), at(50, done=1), at(60), at(130)])
    assert over == [at(50, done=2), at(60)]
    assert rest == [at(130)]


@pytest.mark.parametrize(("most", "found"), [(1, 1), (2, 2), (4, 3), (5, 5), (9, 5)])
def test_there_are_no_more_than_were_asked_for(most: int, found: int) -> None:
    told = at_most([at(10 * number, done=1) for number in range(5)], most)
    assert len(told) == found
    assert sum(one.models["org/chat"].done for one in told) == 5
    assert at_most([], most) == []


class Clock:
    now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@asynccontextmanager
async def sampling(file: Path | None, clock: Clock) -> AsyncIterator[Sampling]:
    store = Database(file, tables(HistoryConfig()), 8 << 20, wall_s=clock)
    store.begin()
    them = Sampling(store, clock)
    try:
        yield them
    finally:
        them.end()
        store.end()


def test_each_is_told_for_a_day_and_then_one_a_minute(tmp_path: Path) -> None:
    async def main() -> None:
        clock = Clock()
        async with sampling(tmp_path / "h.db", clock) as before:
            for _ in range(13):
                before.take(report(worker()), {})
                clock.now_s += 10
        async with sampling(tmp_path / "h.db", clock) as after:
            assert len(await after.between(NOW_S, None, 100)) == 13
            assert len(await after.between(NOW_S + 100, NOW_S + 120, 100)) == 2
            clock.now_s += 2 * 86_400
            days = await after.between(NOW_S, None, 100)
            assert [one.time_s - NOW_S for one in days] == [50, 110]

    asyncio.run(main())


def test_where_nothing_is_kept_none_is_taken() -> None:
    async def main() -> None:
        async with sampling(None, Clock()) as them:

            async def ask(_timeout_s: float) -> dict[str, Any]:
                raise AssertionError

            await asyncio.wait_for(them.run(ask, dict), 60)
            with pytest.raises(Unavailable):
                await them.between(0, None, 10)

    asyncio.run(main())
