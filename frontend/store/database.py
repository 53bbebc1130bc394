"""The file: one SQLite database with one owner, written and read in a thread of its own, so that a
slow disk keeps no request waiting."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from frontend.store.file import OpenFile, is_of_no_use, make_way
from frontend.store.table import Table

logger = logging.getLogger(__name__)

T = TypeVar("T")
# Work on the open file. What one does is written whole or not at all.
Work = Callable[[sqlite3.Connection], T]

END_S = 2.0  # how long the last rows may take to be written
PRUNE_S = 60.0
RETRY_S = 5.0
_MOST_WAITING = 1000
# So much of the bytes is freed at once where they are full, or each row would have to free its own.
_FREED = 0.1
# A file that is lost may have another in its place, which is no database.
_MOST_RENEWALS = 2


class Unavailable(Exception):
    """Nothing can be read: nothing is kept, or the file cannot be opened. Says why."""


class Database:
    """Owns ``file`` from `begin` to `end`; None: nothing is kept.

    ``max_bytes`` bounds it. Where it cannot be written, that is said once in the log, and what
    comes is dropped until it can. A file that is broken is put aside as ``.broken``, and a new one
    made, as where the file is removed while it is open; the log says so.
    """

    def __init__(
        self,
        file: Path | None,
        tables: Sequence[Table],
        max_bytes: int,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._tables = tuple(tables)
        self._max_bytes = max_bytes
        self._wall_s = wall_s
        self._todo: queue.Queue[Callable[[], None] | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._open: OpenFile | None = None
        self._retry_at = 0.0
        self._prune_at = 0.0
        self._warned = False

    @property
    def is_kept(self) -> bool:
        """Whether there is a file at all."""
        return self._file is not None

    def begin(self) -> None:
        if self._file is not None:
            self._thread.start()

    def write(self, work: Work[object]) -> None:
        """Have ``work`` done soon, as one transaction."""
        if self._file is None:
            return
        try:
            self._todo.put_nowait(lambda: self._write(work))
        except queue.Full:
            self._warn("the disk does not keep up")

    async def read(self, query: Work[T]) -> T:
        """What ``query`` returns, once all that was to be written before has been. Raises
        `Unavailable`."""
        if self._file is None:
            raise Unavailable("nothing is kept: the server has no folder for it, or HISTORY_MB=0")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(set_it: Callable[[], None]) -> None:
            def on_loop() -> None:
                if not answer.done():  # whoever asked may have left
                    set_it()

            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(on_loop)

        def answered() -> None:
            try:
                found = self._done(query)
            except (sqlite3.Error, OSError) as error:
                self._fail(error)
                failure: Exception = Unavailable(f"{self._file}: {error}")
                settle(lambda: answer.set_exception(failure))
            except Exception as error:  # of whoever asks; others are still to be answered
                failure = error
                settle(lambda: answer.set_exception(failure))
            else:
                settle(lambda: answer.set_result(found))

        try:
            self._todo.put_nowait(answered)
        except queue.Full:
            raise Unavailable(f"{self._file}: the disk does not keep up") from None
        return await answer

    def end(self) -> None:
        """Write what is left, unless that takes too long."""
        if self._file is None:
            return
        with contextlib.suppress(queue.Full):
            self._todo.put_nowait(None)
        self._thread.join(END_S)

    def _work(self) -> None:
        while (task := self._todo.get()) is not None:
            task()
        self._close()

    def _write(self, work: Work[object]) -> None:
        if self._open is None and time.monotonic() < self._retry_at:
            return
        try:
            self._done(lambda connection: self._written(connection, work))
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
        except Exception as error:  # of what is in the rows; others are still to be written
            self._warn(repr(error))
        else:
            self._warned = False

    def _written(self, connection: sqlite3.Connection, work: Work[object]) -> None:
        self._prune(connection)
        with connection:
            work(connection)
        assert self._open is not None
        self._open.leave()

    def _done(self, work: Work[T]) -> T:
        """What ``work`` returns: where the file turns out to be of no use, with a new one. Raises
        `sqlite3.Error` and `OSError`."""
        for _ in range(_MOST_RENEWALS):
            try:
                return work(self._connection())
            except (sqlite3.Error, OSError) as error:
                self._close()
                if not is_of_no_use(error):
                    raise
                self._make_way(error)
        return work(self._connection())

    def _connection(self) -> sqlite3.Connection:
        """The file, open and as this process has left it. Raises `sqlite3.Error` and `OSError`."""
        if self._open is not None and not self._open.is_as_left():
            self._close()
            self._open = self._opened()
            self._open.look_through()
            logger.warning("history_touched", extra={"why": "another program has written to it"})
        if self._open is None:
            self._open = self._opened()
        return self._open.connection

    def _opened(self) -> OpenFile:
        assert self._file is not None
        opened = OpenFile(self._file, self._tables, self._max_bytes)
        if opened.replaced:
            why = f"other columns than this version's: {', '.join(sorted(opened.replaced))}"
            logger.warning("history_made_anew", extra={"why": why})
        return opened

    def _make_way(self, error: sqlite3.Error | OSError) -> None:
        """For a new file. Raises `OSError`."""
        assert self._file is not None
        aside = make_way(self._file, error)
        told = {"why": str(error), "put_aside_as": str(aside) if aside else None}
        logger.warning("history_made_anew", extra=told)

    def _fail(self, error: sqlite3.Error | OSError) -> None:
        self._close()
        self._retry_at = time.monotonic() + RETRY_S
        self._warn(str(error))

    def _prune(self, connection: sqlite3.Connection) -> None:
        """Let go of what is too old, and of the oldest of the least worth if there is no room."""
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + PRUNE_S
            now_s = self._wall_s()
            with connection:
                for table in self._tables:
                    connection.execute(
                        f"DELETE FROM {table.name} WHERE time_s < ?", (table.before(now_s),)
                    )
        if _used_bytes(connection) > self._max_bytes * (1 - _FREED):
            self._make_room(connection)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        enough = self._max_bytes * (1 - 2 * _FREED)
        for table in sorted(self._tables, key=lambda each: each.worth):
            while _used_bytes(connection) > enough:
                with connection:
                    gone = connection.execute(
                        f"DELETE FROM {table.name} WHERE rowid IN (SELECT rowid FROM {table.name}"
                        " ORDER BY time_s LIMIT max(1, (SELECT count(*) / 10 FROM"
                        f" {table.name})))"
                    ).rowcount
                if gone == 0:
                    break

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _warn(self, why: str) -> None:
        if not self._warned:
            logger.warning("history_not_kept", extra={"why": why})
        self._warned = True


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
