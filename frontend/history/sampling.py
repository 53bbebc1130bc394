"""Samples of the machine and of each model, taken while the server runs and kept for days."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from frontend.history import sample_rows
from frontend.history.samples import Meter, Report, Sample, at_most, by_minute
from frontend.store.database import Database
from frontend.store.row_buffer import RowBuffer

EVERY_S = 30.0
ANSWER_S = 5.0

Ask = Callable[[float], Awaitable[Report | None]]


class Sampling:
    """Owns the samples that are yet to be written. ``wall_s`` tells seconds since 1970."""

    def __init__(self, store: Database, wall_s: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wall_s = wall_s
        self._meter = Meter()
        self._minute: list[Sample] = []  # those of the one that is not over
        self._each = RowBuffer[Sample](store, sample_rows.insert(sample_rows.EACH))
        self._minutes = RowBuffer[Sample](store, sample_rows.insert(sample_rows.MINUTES))

    async def run(self, ask: Ask, queues: Callable[[], Mapping[str, Any]]) -> None:
        """Take one each `EVERY_S`, of what ``ask`` returns within so many seconds and of
        ``queues``; never where nothing is kept."""
        while self._store.is_kept:
            if (report := await ask(ANSWER_S)) is not None:
                self.take(report, queues())
            await asyncio.sleep(EVERY_S)

    def take(self, report: Report, queues: Mapping[str, Any]) -> None:
        """Keep the sample of now."""
        sample = self._meter.sample(report, queues, self._wall_s())
        self._each.add(sample)
        over, self._minute = by_minute([*self._minute, sample])
        for minute in over:
            self._minutes.add(minute)

    async def between(self, since_s: float, until_s: float | None, most: int) -> list[Sample]:
        """Those of this time, until now where there is no end, neighbours merged until there are no
        more than ``most``. Raises `Unavailable`."""
        now_s = self._wall_s()
        until_s = now_s + 1 if until_s is None else until_s

        def query(store: sqlite3.Connection) -> list[Sample]:
            return at_most(sample_rows.between(store, since_s, until_s, now_s), most)

        self._each.flush()
        self._minutes.flush()
        return await self._store.read(query)

    def end(self) -> None:
        """The frontend stops: what is not written yet is handed over."""
        for rows in (self._each, self._minutes):
            rows.flush()
