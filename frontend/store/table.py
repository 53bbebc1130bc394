"""A kind of rows that is kept: how it is stored, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of which each is of a time, in the column ``time_s``: seconds since 1970.

    ``columns`` are what SQLite's CREATE TABLE has between its brackets, ``indexed`` those that are
    searched by besides the time. Rows are kept for ``days``, and fewer where the file is full:
    those of a table with a lower ``worth`` go first. A table in a file that was made otherwise,
    be it by a word, is dropped: the file of an older version is no reason to keep a server from
    starting.
    """

    name: str
    columns: str
    days: float
    worth: int
    indexed: tuple[str, ...] = ()

    @property
    def statements(self) -> tuple[str, ...]:
        """What makes it where it is missing."""
        columns = ("time_s", *self.indexed)
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name} ({self.columns})",
            *(
                f"CREATE INDEX IF NOT EXISTS {self.name}_by_{column} ON {self.name} ({column})"
                for column in columns
            ),
        )

    def before(self, now_s: float) -> float:
        """Rows of before this time are too old."""
        return now_s - self.days * DAY_S
