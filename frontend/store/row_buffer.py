"""Rows on their way to the file: put together here, and written by the second."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from frontend.store.database import Database

EVERY_S = 1.0
# In a second or so. Of more the oldest are lost.
MOST = 10_000

Row = TypeVar("Row")


class RowBuffer(Generic[Row]):
    """Owns the rows that ``insert`` has yet to write. A frontend that is killed loses these."""

    def __init__(
        self, store: Database, insert: Callable[[sqlite3.Connection, Sequence[Row]], None]
    ) -> None:
        self._store = store
        self._insert = insert
        self._rows: deque[Row] = deque(maxlen=MOST)
        self._timer: asyncio.TimerHandle | None = None

    def add(self, row: Row) -> None:
        """Have it written soon."""
        if not self._store.is_kept:
            return
        self._rows.append(row)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self.flush)

    def flush(self) -> None:
        """Hand over what is here; what is read after this has it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._rows:
            rows = [*self._rows]
            self._rows.clear()
            self._store.write(lambda store: self._insert(store, rows))
