"""The file as this process has it open: whether it is still as this process has left it, and what
is done with one that is of no use."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from frontend.store.schema import conform
from frontend.store.table import Table

# Beside the pages that are counted the file has a log of its own, which is written back at so many.
_LOG_PAGES = 256
_PRAGMAS = (
    "locking_mode=EXCLUSIVE",  # also: no shared memory file
    "journal_mode=WAL",
    "synchronous=NORMAL",  # a loss of power may take the last seconds, never the file
    f"wal_autocheckpoint={_LOG_PAGES}",
    "cache_size=-1024",
)


class Lost(sqlite3.DatabaseError):
    """The open file is no more in its place, so nothing that is written to it would be found."""


class Spoilt(sqlite3.DatabaseError):
    """What stands in the file cannot be used."""


class _Stamp(NamedTuple):
    """Which file it is, and when it was last written."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, file: Path) -> _Stamp:
        found = file.stat()
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class OpenFile:
    """Owns the connection to ``file``, which is made where it was missing, for this process alone:
    a second server with the same folder is told that it is locked. ``replaced`` are the tables of
    other columns that it had. Raises `sqlite3.Error` and `OSError`.

    Locked as it is, SQLite does not look whether others write to the file; so its stamp is compared
    before each use. Nothing here opens it a second time: to close that would end SQLite's lock.
    """

    def __init__(self, file: Path, tables: Sequence[Table], max_bytes: int) -> None:
        if not file.exists():  # one that is there may be another server's, who would see it touched
            file.touch(mode=0o600)
        self._file = file
        self.connection = sqlite3.connect(file, timeout=1.0)
        try:
            for pragma in _PRAGMAS:
                self.connection.execute(f"PRAGMA {pragma}").fetchall()
            page_bytes = self.connection.execute("PRAGMA page_size").fetchone()[0]
            most_pages = max_bytes // page_bytes
            self.connection.execute(f"PRAGMA max_page_count={most_pages}").fetchall()
            self.replaced = _conformed(self.connection, tables)
            self.leave()
        except BaseException:
            self.connection.close()
            raise

    def leave(self) -> None:
        """What stands there now is this process's own doing. Raises `OSError`."""
        self._left = _Stamp.of(self._file)

    def is_as_left(self) -> bool:
        """Whether nobody else has written to it since. Raises `Lost` where it was removed, or
        another was put in its place."""
        try:
            found = _Stamp.of(self._file)
        except FileNotFoundError:
            raise Lost("it was removed while it was open") from None
        if found[:2] != self._left[:2]:
            raise Lost("another file was put in its place while it was open")
        return found == self._left

    def look_through(self) -> None:
        """Read all of it. Raises `Spoilt`, or SQLite's own error, where it is not whole."""
        (found,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise Spoilt("another program has written to it, and it is not whole any more")

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()


def _conformed(connection: sqlite3.Connection, tables: Sequence[Table]) -> list[str]:
    try:
        with connection:
            return conform(connection, tables)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR:
            raise Spoilt(f"its tables cannot be replaced: {error}") from None
        raise


def is_of_no_use(error: sqlite3.Error | OSError) -> bool:
    """Whether it takes a new file to go on."""
    code = getattr(error, "sqlite_errorcode", 0)
    no_database = code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return no_database or isinstance(error, (Lost, Spoilt))


def make_way(file: Path, error: sqlite3.Error | OSError) -> Path | None:
    """For a new file in place of ``file``, of no use by ``error``. Returns where that is put aside;
    None: it is gone. Raises `OSError`."""
    # SQLite would take the log for that of whatever stands there next.
    file.with_name(f"{file.name}-wal").unlink(missing_ok=True)
    if isinstance(error, Lost):
        return None
    aside = file.with_name(f"{file.name}.broken")
    file.replace(aside)
    return aside
