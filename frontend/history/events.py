"""What has happened to the server, also before this frontend and before this run of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial

from frontend.dispatch.event_feed import EventFeed
from frontend.history import event_rows
from frontend.store.database import Database, Unavailable
from frontend.store.row_buffer import RowBuffer
from ipc.messages.admin import BoxEvent

MOST = 1000


class EventHistory:
    """Keeps what comes of ``feed``, and tells what is in the file from before it. Where nothing can
    be read there is nothing from before."""

    def __init__(self, feed: EventFeed, store: Database) -> None:
        self.feed = feed
        self._store = store
        self._rows = RowBuffer[BoxEvent](store, event_rows.insert)
        feed.subscribe(self._rows.add)

    def end(self) -> None:
        """The frontend stops: what is not written yet is handed over."""
        self._rows.flush()

    async def between(self, seq: int) -> list[BoxEvent]:
        """Those of this run of the server after the one with number ``seq`` that the feed has no
        more."""
        oldest = self.feed.oldest
        if oldest is None or oldest.seq <= seq + 1:
            return []
        return await self._read(partial(event_rows.between, seq=seq, later=oldest))

    async def since(self, time_s: float) -> list[BoxEvent]:
        """Those since then that the feed has not, of other runs of the server too, in their
        order; the last `MOST` of them."""
        known = {(event.seq, event.time_s) for event in self.feed.after(0)}
        found = await self._read(partial(event_rows.since, time_s=time_s, limit=MOST + len(known)))
        return [event for event in found if (event.seq, event.time_s) not in known][-MOST:]

    async def _read(self, query: Callable[[sqlite3.Connection], list[BoxEvent]]) -> list[BoxEvent]:
        self._rows.flush()
        try:
            return await self._store.read(query)
        except Unavailable:
            return []
