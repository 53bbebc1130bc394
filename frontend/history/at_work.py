"""Requests that are worked on, as rows of the file: so the next frontend knows what was in hand of
one that died.

Off the way of every request: by the second it is looked at which are open, and what has changed
of them is written. One that comes and ends between two looks is never here.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec

from frontend.history import request_rows
from frontend.history.request_record import RequestRecord, begun_record
from frontend.http.request_context import RequestContext
from frontend.store.database import Database
from frontend.store.table import Table
from ipc.messages.errors import LostWithFrontend

EVERY_S = 1.0
# How far two readings of when the same request came may be apart.
SAME_S = 1.0
_encoder = msgspec.json.Encoder()
_records = msgspec.json.Decoder(RequestRecord)
# What of it, once changed, is worth a new row: its model, its worker's attempt, whether it answers.
Stands = tuple[str | None, int, bool]


def at_work_table(days: float) -> Table:
    """One row for each that was open at the last look, of the frontend that is called ``run``.
    ``record`` is a `RequestRecord` as JSON, ``seen_s`` when that look was, since 1970."""
    return Table(
        name="requests_at_work",
        columns="number INTEGER PRIMARY KEY, run TEXT, time_s REAL, seen_s REAL, record TEXT",
        days=days,
        worth=2,
    )


class AtWork:
    """Owns the rows of those that ``are_open``. What another frontend has left of them is made
    requests that have ended, before anything is read."""

    def __init__(
        self,
        store: Database,
        are_open: Callable[[], Iterable[RequestContext]],
        clock: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._are_open = are_open
        self._clock = clock
        self._wall_s = wall_s
        self._run = f"{os.getpid()}.{wall_s()}"
        self._numbers = itertools.count(1)
        self._rows: dict[RequestContext, tuple[int, Stands]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Those of a frontend before this one have ended with it."""
        self._store.write(partial(end_others, run=self._run))

    def come(self) -> None:
        """A request has come."""
        if self._timer is None and self._store.is_kept:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self.look)

    def look(self) -> None:
        """Hand over what has changed, and look again as long as any is open."""
        self.end()
        if changed := self._changed():
            self._store.write(changed)
        if self._rows:
            self.come()

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _changed(self) -> Callable[[sqlite3.Connection], None] | None:
        """What brings the rows up to date, if any is open or was."""
        now, seen_s, before = self._clock(), self._wall_s(), self._rows
        self._rows, rows = {}, list[tuple[int, RequestRecord]]()
        for context in self._are_open():
            stands = _stands(context)
            number, stood = before.pop(context, (0, None))
            number = number or next(self._numbers)
            self._rows[context] = number, stands
            if stands != stood:
                rows.append((number, begun_record(context, now, seen_s)))
        gone = [number for number, _ in before.values()]
        if not self._rows and not gone:
            return None
        return partial(_write, run=self._run, seen_s=seen_s, rows=rows, gone=gone)


def _stands(context: RequestContext) -> Stands:
    stream = context.stream
    if stream is None:
        return context.model, 0, False
    return context.model, stream.attempt, stream.first_at is not None


def _write(
    store: sqlite3.Connection,
    run: str,
    seen_s: float,
    rows: Sequence[tuple[int, RequestRecord]],
    gone: Sequence[int],
) -> None:
    end_others(store, run)
    store.executemany(
        "INSERT OR REPLACE INTO requests_at_work (number, run, time_s, record) VALUES (?, ?, ?, ?)",
        ((number, run, one.time_s, _encoder.encode(one).decode()) for number, one in rows),
    )
    store.executemany(
        "DELETE FROM requests_at_work WHERE number = ?", ((number,) for number in gone)
    )
    store.execute("UPDATE requests_at_work SET seen_s = ?", (seen_s,))


def end_others(store: sqlite3.Connection, run: str) -> None:
    """What frontends other than ``run`` had in hand has ended with them, when it was last seen."""
    left = store.execute(
        "SELECT record, seen_s FROM requests_at_work WHERE run != ?"
        " AND NOT EXISTS (SELECT 1 FROM requests_2 AS ended WHERE"
        " ended.id = json_extract(record, '$.id')"
        f" AND abs(ended.time_s - requests_at_work.time_s) < {SAME_S}) ORDER BY number",
        (run,),
    ).fetchall()
    request_rows.insert(store, [one for row in left for one in _lost(*row)])
    store.execute("DELETE FROM requests_at_work WHERE run != ?", (run,))


def _lost(record: str, seen_s: float) -> list[RequestRecord]:
    """Its end; none where it was written by a version with other records."""
    try:
        one = _records.decode(record)
    except msgspec.MsgspecError:
        return []
    error = LostWithFrontend
    return [
        msgspec.structs.replace(
            one,
            stage="ended",
            total_s=max(0.0, seen_s - one.time_s),
            status=error.status,
            error=error.code,
        )
    ]
