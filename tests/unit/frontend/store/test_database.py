"""What is kept: written in order, read back, bounded in days and bytes; a bad file stops nobody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from frontend.store.database import Database, Unavailable
from frontend.store.table import DAY_S, Table

NOTES = Table(name="notes", columns="time_s REAL, text TEXT", days=7, worth=1)
SUMS = Table(name="sums", columns="time_s REAL, total INTEGER", days=90, worth=2)
NOW_S = 1_800_000_000.0
MB = 1 << 20


@contextmanager
def database(file: Path | None, max_bytes: int = 8 * MB, *tables: Table) -> Iterator[Database]:
    opened = Database(file, tables or (NOTES, SUMS), max_bytes, wall_s=lambda: NOW_S)
    opened.begin()
    try:
        yield opened
    finally:
        opened.end()


def note(store: Database, text: str, time_s: float = NOW_S) -> None:
    store.write(lambda db: db.execute("INSERT INTO notes VALUES (?, ?)", (time_s, text)))


def notes(store: Database) -> list[str]:
    def query(db: sqlite3.Connection) -> list[str]:
        return [text for (text,) in db.execute("SELECT text FROM notes ORDER BY time_s, rowid")]

    return asyncio.run(store.read(query))


def test_what_is_written_is_read_in_its_order_and_after_a_restart(tmp_path: Path) -> None:
    with database(tmp_path / "h.db") as store:
        note(store, "one")
        note(store, "two")
        assert notes(store) == ["one", "two"]
    with database(tmp_path / "h.db") as store:
        assert notes(store) == ["one", "two"]
    assert (tmp_path / "h.db").stat().st_mode & 0o777 == 0o600


def test_work_that_fails_leaves_nothing_half_written(tmp_path: Path) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO notes VALUES (?, 'half')", (NOW_S,))
        db.execute("INSERT INTO nowhere VALUES (1)")

    with database(tmp_path / "h.db") as store:
        store.write(half)
        assert notes(store) == []


def test_rows_go_when_they_are_too_old(tmp_path: Path) -> None:
    with database(tmp_path / "h.db") as store:
        note(store, "old", NOW_S - 8 * DAY_S)
        note(store, "new", NOW_S - 6 * DAY_S)
    with database(tmp_path / "h.db") as store:
        note(store, "now")
        assert notes(store) == ["new", "now"]


def test_a_full_file_loses_the_oldest_of_the_least_worth(tmp_path: Path) -> None:
    most = MB
    with database(tmp_path / "h.db", most) as store:
        store.write(lambda db: db.execute("INSERT INTO sums VALUES (?, 5)", (NOW_S - DAY_S,)))
        for number in range(600):
            note(store, f"{number} " + "x" * 5000, NOW_S + number)
        found = notes(store)
        kept_sums = asyncio.run(store.read(lambda db: db.execute("SELECT * FROM sums").fetchall()))
    assert kept_sums == [(NOW_S - DAY_S, 5)]
    assert [text.split()[0] for text in found] == [
        str(number) for number in range(600 - len(found), 600)
    ]
    assert 100 < len(found) < 600
    assert (tmp_path / "h.db").stat().st_size <= most


def test_without_a_file_nothing_is_kept_and_whoever_reads_is_told() -> None:
    with database(None) as store:
        note(store, "one")
        with pytest.raises(Unavailable, match="HISTORY_MB"):
            notes(store)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


def on_disk(file: Path) -> list[str]:
    """What whoever opens it later finds."""
    with contextlib.closing(sqlite3.connect(file)) as db:
        return [text for (text,) in db.execute("SELECT text FROM notes")]


def test_a_broken_file_is_put_aside_and_no_row_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "h.db"
    file.write_bytes(b"no database at all" * 1000)
    with database(file) as store:
        note(store, "one")
        assert notes(store) == ["one"]
    assert (tmp_path / "h.db.broken").read_bytes().startswith(b"no database")
    assert messages(caplog) == ["history_made_anew"]
    assert caplog.records[0].__dict__["put_aside_as"] == f"{file}.broken"


def test_whoever_only_reads_a_broken_file_finds_a_new_one(tmp_path: Path) -> None:
    file = tmp_path / "h.db"
    file.write_bytes(b"no database at all" * 1000)
    with database(file) as store:
        assert notes(store) == []


def removed(file: Path) -> None:
    for each in (file, Path(f"{file}-wal")):
        each.unlink(missing_ok=True)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def overwritten(file: Path) -> None:
    file.write_bytes(b"junk " * 10_000)


def overwritten_behind_its_head(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"junk " * (file.stat().st_size // 5))


def replaced_by_junk(file: Path) -> None:
    other = file.with_name("other")
    overwritten(other)
    other.replace(file)


HARMS = [removed, emptied, overwritten, overwritten_behind_its_head, replaced_by_junk]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("rows", [1, 900])  # all of it in SQLite's log yet, and most in the file
def test_a_file_that_is_harmed_while_it_is_open_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None], rows: int
) -> None:
    file = tmp_path / "h.db"
    with database(file) as store:
        for number in range(rows):
            note(store, f"{number} " + "x" * 2000)
        assert len(notes(store)) == rows
        harm(file)
        note(store, "later")
        assert "later" in notes(store)
    assert "later" in on_disk(file)
    assert 1 <= len(messages(caplog)) <= 2
    assert set(messages(caplog)) <= {"history_made_anew", "history_touched"}


def test_a_file_that_is_whole_after_another_has_touched_it_keeps_its_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "h.db"
    with database(file) as store:
        note(store, "one")
        assert notes(store) == ["one"]
        os.utime(file, (1, 1))
        note(store, "two")
        assert notes(store) == ["one", "two"]
    assert messages(caplog) == ["history_touched"]


FOREIGN = [
    "CREATE TABLE notes (time_s REAL, words TEXT)",
    "CREATE TABLE notes (time_s REAL, text TEXT, more TEXT NOT NULL)",
    "CREATE TABLE notes (time_s REAL, text TEXT CHECK (text = ''))",
    "CREATE VIEW notes AS SELECT 1.0 AS time_s, 'x' AS text",
    'CREATE TABLE notes (time_s REAL, "a""b" TEXT); CREATE VIEW "a""b" AS SELECT * FROM notes',
]


@pytest.mark.parametrize("statements", FOREIGN)
def test_a_table_with_other_columns_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, statements: str
) -> None:
    file = tmp_path / "h.db"
    with database(file) as store:
        store.write(lambda db: db.execute("INSERT INTO sums VALUES (?, 5)", (NOW_S,)))
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.executescript(f"DROP TABLE notes; {statements}")
    with database(file) as store:
        note(store, "one")
        assert notes(store) == ["one"]
        kept = asyncio.run(store.read(lambda db: db.execute("SELECT total FROM sums").fetchall()))
    assert kept == [(5,)]  # what is as it is declared stays
    assert messages(caplog) == ["history_made_anew"]


def test_a_trigger_and_an_index_of_others_are_dropped(tmp_path: Path) -> None:
    file = tmp_path / "h.db"
    with database(file) as store:
        note(store, "one")
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.executescript(
            "CREATE UNIQUE INDEX one ON notes (text);"
            "CREATE TRIGGER no AFTER INSERT ON notes BEGIN DELETE FROM notes; END"
        )
    with database(file) as store:
        note(store, "one")
        assert notes(store) == ["one", "one"]


def test_a_row_that_cannot_be_understood_stops_nobody_else(tmp_path: Path) -> None:
    def query(_: sqlite3.Connection) -> None:
        raise ValueError("what is this")

    with database(tmp_path / "h.db") as store:
        with pytest.raises(ValueError, match="what is this"):
            asyncio.run(store.read(query))
        store.write(query)
        note(store, "one")
        assert notes(store) == ["one"]


def test_the_file_of_another_server_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "h.db"
    with database(file) as first, database(file) as second:
        note(first, "mine")
        assert notes(first) == ["mine"]
        with caplog.at_level(logging.WARNING):
            note(second, "yours")
            with pytest.raises(Unavailable, match="locked"):
                notes(second)
        assert notes(first) == ["mine"]
    assert [record.message for record in caplog.records] == ["history_not_kept"]


def test_tables_of_another_version_are_dropped(tmp_path: Path) -> None:
    with database(tmp_path / "h.db") as store:
        note(store, "one")
        assert notes(store) == ["one"]
    found = pytest.raises(Unavailable, match="no such table: notes")
    with database(tmp_path / "h.db", MB, SUMS) as store, found:
        notes(store)


def test_whoever_stops_waiting_for_an_answer_disturbs_nobody(tmp_path: Path) -> None:
    async def leaves_early(store: Database) -> list[tuple[float, str]]:
        reading = asyncio.ensure_future(store.read(lambda db: db.total_changes))
        await asyncio.sleep(0)
        reading.cancel()
        return await store.read(lambda db: db.execute("SELECT * FROM notes").fetchall())

    with database(tmp_path / "h.db") as store:
        assert asyncio.run(leaves_early(store)) == []
