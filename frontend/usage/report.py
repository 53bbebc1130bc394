"""What was used, asked of the store."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from frontend.store.database import Database
from frontend.usage.ledger import OK, SUMS, USAGE, Ledger

By = Literal["key", "model", "day", "outcome"]
Row = dict[str, Any]
DAY_S = 86_400
MOST_ROWS = 10_000
_GROUPS: dict[By, str] = {
    "key": "key",
    "model": "model",
    "day": f"date(time_s / {DAY_S} * {DAY_S}, 'unixepoch')",
    "outcome": "outcome",
}
_WHOLE = frozenset({"requests", "prompt_tokens", "cached_tokens", "completion_tokens", "texts"})
COLUMNS = ("requests", "failed", *SUMS[1:])


@dataclass(frozen=True, slots=True)
class Question:
    """The sums from ``since_s`` on and before ``until_s``, seconds since 1970, a row for each of
    what they are ``by``; of one ``key`` alone where it is named, "" being who has none."""

    since_s: float
    until_s: float
    by: tuple[By, ...]
    key: str | None = None


class UsageReports:
    """Answers from what is kept and what is not handed over yet."""

    def __init__(self, ledger: Ledger, store: Database) -> None:
        self._ledger = ledger
        self._store = store

    async def rows(self, question: Question) -> list[Row]:
        """In the order of days and names. Raises `frontend.store.database.Unavailable`."""
        self._ledger.flush()
        return await self._store.read(lambda connection: _rows(connection, question))

    async def tokens_by_key(self, since_s: float) -> dict[str, float]:
        """What each key has had since then. Raises `frontend.store.database.Unavailable`."""
        rows = await self.rows(Question(since_s, 1e12, ("key",)))
        return {row["key"]: row["prompt_tokens"] + row["completion_tokens"] for row in rows}


def as_csv(rows: Sequence[Row], by: Sequence[By]) -> str:
    """The same for a table: a line of heads, a line for each row."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [*by, *COLUMNS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _rows(connection: sqlite3.Connection, question: Question) -> list[Row]:
    groups = [f"{_GROUPS[by]} AS by_{by}" for by in question.by]
    sums = ["sum(requests)", f"sum(CASE outcome WHEN '{OK}' THEN 0 ELSE requests END)"]
    sums += [f"sum({name})" for name in SUMS[1:]]
    asked = (
        f"SELECT {', '.join([*groups, *sums])} FROM {USAGE.name} WHERE time_s >= ? AND time_s < ?"
    )
    values: list[object] = [question.since_s, question.until_s]
    if question.key is not None:
        asked += " AND key = ?"
        values.append(question.key)
    if question.by:
        names = ", ".join(f"by_{by}" for by in question.by)
        asked += f" GROUP BY {names} ORDER BY {names}"
    found = connection.execute(f"{asked} LIMIT {MOST_ROWS}", values).fetchall()
    return [_row(row, question.by) for row in found if row[len(question.by)] is not None]


def _row(values: Sequence[Any], by: Sequence[By]) -> Row:
    named = dict(zip(by, values, strict=False))
    sums = zip(COLUMNS, values[len(by) :], strict=True)
    whole = {*_WHOLE, "failed"}
    return named | {name: int(sum_) if name in whole else round(sum_, 3) for name, sum_ in sums}
