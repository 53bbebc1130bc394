"""Counted in memory by the minute, and handed to the store every few seconds: no request waits for
a disk, and who is killed loses the last seconds."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence

from frontend.http.request_context import RequestContext
from frontend.store.database import Database
from frontend.store.table import Table
from frontend.usage.spent import spent_by

MINUTE_S = 60
FLUSH_S = 2.0
# What is added up of each request, behind the minute, the key, the model and the outcome.
SUMS = (
    *("requests", "prompt_tokens", "cached_tokens", "completion_tokens"),
    *("audio_s", "texts", "work_s"),
)
# The outcome of one that was answered; others have the codes of their errors.
OK = "ok"
USAGE = Table(
    name="usage_by_minute",
    columns="time_s INTEGER NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL,"
    f" outcome TEXT NOT NULL, {', '.join(f'{name} REAL NOT NULL' for name in SUMS)},"
    " UNIQUE (time_s, key, model, outcome)",
    days=90.0,
    worth=100,
)
_ADD = (
    f"INSERT INTO {USAGE.name} (time_s, key, model, outcome, {', '.join(SUMS)})"
    f" VALUES ({', '.join('?' * (4 + len(SUMS)))})"
    " ON CONFLICT (time_s, key, model, outcome) DO UPDATE SET"
    f" {', '.join(f'{name} = {name} + excluded.{name}' for name in SUMS)}"
)
# Refused before anybody looked for which model it is.
_REFUSED = frozenset({"rate_limit_exceeded", "insufficient_quota"})

_Place = tuple[int, str, str, str]


class Ledger:
    """Owns what is counted and not yet handed over. Requests without a key are those of the key
    that has no name."""

    def __init__(self, store: Database, wall_s: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wall_s = wall_s
        self._sums: dict[_Place, list[float]] = {}

    def count(self, context: RequestContext, now: float) -> None:
        """A request has ended ``now``, on the monotonic clock. What was for no model, nobody
        counts."""
        if context.task is None and (context.key is None or context.error not in _REFUSED):
            return
        spent = spent_by(context, now)
        minute = int(self._wall_s()) // MINUTE_S * MINUTE_S
        place = (minute, context.key or "", context.model or "", context.error or OK)
        sums = self._sums.get(place)
        if sums is None:
            sums = self._sums[place] = [0.0] * len(SUMS)
        sums[0] += 1
        sums[1] += spent.prompt_tokens
        sums[2] += spent.cached_tokens
        sums[3] += spent.completion_tokens
        sums[4] += spent.audio_s
        sums[5] += spent.texts
        sums[6] += spent.work_s

    def flush(self) -> None:
        """Hand over what is counted."""
        if not self._sums:
            return
        rows = [(*place, *sums) for place, sums in self._sums.items()]
        self._sums.clear()
        self._store.write(lambda connection: _add(connection, rows))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self.flush()


def _add(connection: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> None:
    connection.executemany(_ADD, rows)
