"""Events of the server, as rows of the file that is kept for days."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from frontend.store.table import Table
from ipc.messages.admin import BoxEvent

_facts = msgspec.json.Encoder()


def event_table(days: float) -> Table:
    """One row for each. A new frontend is told of those again that are kept elsewhere: what has the
    number and the time of another is that one. Numbers begin anew with each start of the server."""
    return Table(
        name="events",
        columns="seq INTEGER, time_s REAL, type TEXT, model TEXT, facts TEXT, UNIQUE (time_s, seq)",
        days=days,
        worth=3,
    )


def insert(store: sqlite3.Connection, events: Iterable[BoxEvent]) -> None:
    rows = (
        (one.seq, one.time_s, one.type, one.model, _facts.encode(one.facts).decode())
        for one in events
    )
    store.executemany("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?)", rows)


def between(store: sqlite3.Connection, seq: int, later: BoxEvent) -> list[BoxEvent]:
    """Those of the same run of the server as ``later``, before it and after number ``seq``: as far
    back as no number is missing."""
    rows = store.execute(
        "SELECT seq, time_s, type, model, facts FROM events WHERE rowid <"
        " (SELECT rowid FROM events WHERE seq = ? AND time_s = ?) ORDER BY rowid DESC LIMIT ?",
        (later.seq, later.time_s, max(0, later.seq - 1 - seq)),
    )
    found: list[BoxEvent] = []
    for row in rows:
        if row[0] != later.seq - 1 - len(found):
            break  # another run's
        found.append(_event(row))
    return found[::-1]


def since(store: sqlite3.Connection, time_s: float, limit: int) -> list[BoxEvent]:
    """The last ``limit`` since then, of all runs of the server, in their order."""
    rows = store.execute(
        "SELECT seq, time_s, type, model, facts FROM events WHERE time_s >= ?"
        " ORDER BY rowid DESC LIMIT ?",
        (time_s, limit),
    ).fetchall()
    return [_event(row) for row in reversed(rows)]


def _event(row: tuple[Any, ...]) -> BoxEvent:
    seq, time_s, kind, model, facts = row
    return BoxEvent(
        seq=seq, time_s=time_s, type=kind, model=model, facts=msgspec.json.decode(facts)
    )
