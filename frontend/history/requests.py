"""All requests that are known: those that are worked on, and those that have ended, also before
this frontend began."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from frontend.history import request_rows
from frontend.history.at_work import AtWork
from frontend.history.request_record import RequestRecord
from frontend.history.request_registry import RequestRegistry, unknown
from frontend.history.request_rows import Wanted
from frontend.store.database import Database, Unavailable
from frontend.store.row_buffer import RowBuffer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RequestPage:
    """Some of them, and where the next page begins; None where there is none."""

    records: list[RequestRecord]
    next: int | None


class Requests:
    """``registry`` has those of this frontend, the file those before. Where nothing can be read
    of that, the registry's own are all."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._rows = RowBuffer[RequestRecord](store, request_rows.insert)
        self._at_work = AtWork(store, lambda: self.registry.contexts)
        self.registry = RequestRegistry(self._rows.add, come=self._at_work.come)

    def begin(self) -> None:
        """The frontend serves: whatever one before it had in hand has ended with that."""
        self._at_work.begin()

    def end(self) -> None:
        """The frontend stops: what is not written yet is handed over."""
        self._rows.flush()
        self._at_work.look()
        self._at_work.end()

    async def page(self, wanted: Wanted, limit: int, before: int | None = None) -> RequestPage:
        """Those that are worked on, all of them and first, then at most ``limit`` that have ended,
        the last one first. With ``before`` only what comes after the page that told it as its
        ``next``."""
        opened = [one for one in self.registry.open() if before is None and wanted.has(one)]
        try:
            ended = await self._read(
                partial(request_rows.page, wanted=wanted, limit=limit + 1, before=before)
            )
        except Unavailable:
            ended = self._remembered(wanted, limit + 1, before)
        more = ended[limit - 1][0] if len(ended) > limit else None
        return RequestPage(opened + [record for _, record in ended[:limit]], more)

    async def record(self, request_id: str) -> RequestRecord:
        """The newest one of that id, those that are worked on first. Raises `NotFound`."""
        found = self.registry.record(request_id)
        if found is None:
            try:
                found = await self._read(partial(request_rows.find, request_id=request_id))
            except Unavailable:
                found = None
        if found is None:
            raise unknown(request_id)
        return found

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        self._rows.flush()
        return await self._store.read(query)

    def _remembered(
        self, wanted: Wanted, limit: int, before: int | None
    ) -> list[tuple[int, RequestRecord]]:
        """As `request_rows.page`, of those that this process remembers."""
        found = [
            (number, one)
            for number, one in self.registry.ended()
            if wanted.has(one) and (before is None or number < before)
        ]
        return found[:limit]
