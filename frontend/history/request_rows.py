"""Requests that have ended, as rows of the file that is kept for days."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from frontend.dispatch.estimates.shape import Shape
from frontend.history.request_record import Earlier, RequestRecord
from frontend.store.table import Table
from ipc.messages.events import Usage

# In the order of the table. All but those of the tokens are called as in the record.
_PLAIN = (
    *("id", "time_s", "method", "path", "key", "client", "model", "task", "streams"),
    *("submitted_s", "load_s", "dispatched_s", "resumed_s", "began_s", "read_s", "worked_s"),
    *("first_s", "total_s", "attempt", "worker_pid", "steps", "status", "error", "finish"),
    *("prompt_tokens", "audio_s"),
)
_TOKENS = ("read_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
_COLUMNS = (*_PLAIN, *_TOKENS, "shape", "earlier")
_ALL = ", ".join(_COLUMNS)
_INSERT = f"INSERT INTO requests_2 ({_ALL}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_encoder = msgspec.json.Encoder()
_shapes = msgspec.json.Decoder(Shape)
_attempts = msgspec.json.Decoder(tuple[Earlier, ...])


def request_table(days: float) -> Table:
    """One row for each that has ended, ``time_s`` being when it came. ``shape`` is a `Shape` as
    JSON, ``earlier`` a list of `Earlier`; ``read_tokens`` and those after it are its usage, none
    where nothing is known of it."""
    return Table(
        name="requests_2",
        columns=(
            "id TEXT, time_s REAL, method TEXT, path TEXT, key TEXT, client TEXT, model TEXT, "
            "task TEXT, streams INTEGER, submitted_s REAL, load_s REAL, dispatched_s REAL, "
            "resumed_s REAL, began_s REAL, read_s REAL, worked_s REAL, first_s REAL, total_s REAL, "
            "attempt INTEGER, worker_pid INTEGER, steps INTEGER, status INTEGER, "
            "error TEXT, finish TEXT, prompt_tokens INTEGER, audio_s REAL, read_tokens INTEGER, "
            "completion_tokens INTEGER, cached_tokens INTEGER, reasoning_tokens INTEGER, "
            "shape TEXT, earlier TEXT"
        ),
        days=days,
        worth=2,
        indexed=("id", "model"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which requests are asked for; None: whatever it is. ``by`` is the name of a key, else an
    address; ``statuses`` are the least and the greatest."""

    by: str | None = None
    model: str | None = None
    path: str | None = None
    statuses: tuple[int, int] | None = None
    since_s: float | None = None
    until_s: float | None = None

    def has(self, record: RequestRecord) -> bool:
        """Whether this is one of them."""
        return (
            self.by in (None, record.key or record.client)
            and self.model in (None, record.model)
            and self.path in (None, record.path)
            and (self.statuses is None or _within(record.status, self.statuses))
            and (self.since_s is None or record.time_s >= self.since_s)
            and (self.until_s is None or record.time_s < self.until_s)
        )

    @property
    def conditions(self) -> list[tuple[str, Any]]:
        """The same in SQL, each with its value."""
        least, most = self.statuses or (None, None)
        known = (
            ("coalesce(key, client) = ?", self.by),
            ("model = ?", self.model),
            ("path = ?", self.path),
            ("status >= ?", least),
            ("status <= ?", most),
            ("time_s >= ?", self.since_s),
            ("time_s < ?", self.until_s),
        )
        return [(condition, value) for condition, value in known if value is not None]


def _within(status: int | None, bounds: tuple[int, int]) -> bool:
    return status is not None and bounds[0] <= status <= bounds[1]


def insert(store: sqlite3.Connection, records: Iterable[RequestRecord]) -> None:
    store.executemany(_INSERT, map(_row, records))


def page(
    store: sqlite3.Connection, wanted: Wanted, limit: int, before: int | None
) -> list[tuple[int, RequestRecord]]:
    """The last ``limit`` that have ended, the last one first, each with its number: of those with a
    lower one than ``before``."""
    conditions = wanted.conditions
    if before is not None:
        conditions = [*conditions, ("rowid < ?", before)]
    where = " AND ".join(["1", *(condition for condition, _ in conditions)])
    found = store.execute(
        f"SELECT rowid, {_ALL} FROM requests_2 WHERE {where} ORDER BY rowid DESC LIMIT ?",
        [*(value for _, value in conditions), limit],
    )
    return [(row[0], _record(row[1:])) for row in found]


def find(store: sqlite3.Connection, request_id: str) -> RequestRecord | None:
    """The last one of that id that has ended."""
    row = store.execute(
        f"SELECT {_ALL} FROM requests_2 WHERE id = ? ORDER BY rowid DESC LIMIT 1", (request_id,)
    ).fetchone()
    return None if row is None else _record(row)


def _row(record: RequestRecord) -> tuple[Any, ...]:
    usage, shape = record.usage, record.shape
    return (
        *(getattr(record, name) for name in _PLAIN),
        *(
            (None,) * len(_TOKENS)
            if usage is None
            else (
                *(usage.prompt_tokens, usage.completion_tokens),
                *(usage.cached_tokens, usage.reasoning_tokens),
            )
        ),
        None if shape is None else _encoder.encode(shape).decode(),
        _encoder.encode(record.earlier).decode() if record.earlier else None,
    )


def _record(row: tuple[Any, ...]) -> RequestRecord:
    known = dict(zip(_COLUMNS, row, strict=True))
    shape, earlier = known.pop("shape"), known.pop("earlier")
    read, written, cached, thought = (known.pop(name) for name in _TOKENS)
    known["streams"] = bool(known["streams"])
    usage = None
    if read is not None:
        usage = Usage(
            prompt_tokens=read,
            completion_tokens=written,
            cached_tokens=cached,
            reasoning_tokens=thought,
        )
    return RequestRecord(
        stage="ended",
        usage=usage,
        shape=None if shape is None else _shapes.decode(shape),
        earlier=() if earlier is None else _attempts.decode(earlier),
        **known,
    )
