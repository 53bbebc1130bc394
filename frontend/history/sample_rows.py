"""Samples, as rows of the file that is kept for days: each for a day, then one a minute."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec

from frontend.history.samples import ModelSample, Sample
from frontend.store.table import DAY_S, Table

EACH, MINUTES = "samples", "samples_by_minute"
EACH_DAYS = 1.0
_encoder = msgspec.json.Encoder()
_models = msgspec.json.Decoder(dict[str, ModelSample])
_COLUMNS = "time_s REAL, cpu_percent REAL, memory_used_mb REAL, memory_total_mb REAL, models TEXT"


def sample_tables(days: float) -> tuple[Table, ...]:
    """``models`` are JSON, each a `ModelSample`."""
    return (
        Table(name=EACH, columns=_COLUMNS, days=min(EACH_DAYS, days), worth=0),
        Table(name=MINUTES, columns=_COLUMNS, days=days, worth=1),
    )


def insert(table: str) -> Callable[[sqlite3.Connection, Iterable[Sample]], None]:
    """What writes samples into ``table``."""
    return partial(_insert, table)


def _insert(table: str, store: sqlite3.Connection, samples: Iterable[Sample]) -> None:
    rows = (
        (
            *(one.time_s, one.cpu_percent, one.memory_used_mb, one.memory_total_mb),
            _encoder.encode(one.models).decode(),
        )
        for one in samples
    )
    store.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)", rows)


def between(
    store: sqlite3.Connection, since_s: float, until_s: float, now_s: float
) -> list[Sample]:
    """Those of this time in their order: each where all of them are still here, else minutes."""
    table = EACH if since_s >= now_s - EACH_DAYS * DAY_S else MINUTES
    rows = store.execute(
        "SELECT time_s, cpu_percent, memory_used_mb, memory_total_mb, models"
        f" FROM {table} WHERE time_s >= ? AND time_s < ? ORDER BY time_s, rowid",
        (since_s, until_s),
    )
    return [_sample(row) for row in rows]


def _sample(row: tuple[Any, ...]) -> Sample:
    time_s, cpu_percent, used_mb, total_mb, models = row
    return Sample(
        time_s=time_s,
        cpu_percent=cpu_percent,
        memory_used_mb=used_mb,
        memory_total_mb=total_mb,
        models=_models.decode(models),
    )
