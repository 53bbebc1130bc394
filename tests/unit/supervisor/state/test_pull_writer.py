"""The pulls that a server keeps, as its state folder has them."""

from __future__ import annotations

from pathlib import Path

from supervisor.state.pull_book import Book, Job
from supervisor.state.pull_writer import PullWriter

BOOK = Book(count=3, jobs=[Job(id="pull-3", source="hf:acme/one", created_at=1.0, state="paused")])


def test_what_one_server_keeps_the_next_one_finds(tmp_path: Path) -> None:
    first = PullWriter(tmp_path)
    assert first.kept == Book()
    first.keep(BOOK)
    first.end()
    second = PullWriter(tmp_path)
    assert second.kept == BOOK
    second.end()


def test_what_changes_after_it_was_handed_over_is_not_written(tmp_path: Path) -> None:
    writer = PullWriter(tmp_path)
    book = Book(count=1)
    writer.keep(book)
    book.count = 2
    writer.end()
    later = PullWriter(tmp_path)
    assert later.kept.count == 1
    later.end()


def test_a_second_server_on_the_same_folder_keeps_nothing(tmp_path: Path) -> None:
    first, second = PullWriter(tmp_path), PullWriter(tmp_path)
    second.keep(BOOK)
    second.end()
    first.end()
    third = PullWriter(tmp_path)
    assert third.kept == Book()
    third.end()


def test_without_a_folder_nothing_is_kept() -> None:
    writer = PullWriter(None)
    writer.keep(BOOK)
    writer.end()
    assert writer.kept == Book()
