"""Prefixes from one worker to the next: for how long, on which disk, readable by whom."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipc.messages.control import KeepPrefixes
from ipc.messages.spec import FileFacts, Spec
from ipc.runtime import document
from supervisor.state import prefix_store
from supervisor.state.prefix_store import PrefixStore
from supervisor.state.prefixes import SCHEMA, find
from tests.unit.ipc.test_document import full

CHAT = Spec(name="chat", task="chat", engine="echo", path="", facts=FileFacts(digest="d1"))

Begin = Callable[..., PrefixStore]


def eventually(true: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 60
    while not true():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def on_disk(folder: Path) -> bytes:
    return find(document.read(folder, SCHEMA) or (), CHAT)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[PrefixStore] = []

    def begin(keep: KeepPrefixes, folder: Path | None = tmp_path) -> PrefixStore:
        store = PrefixStore(folder, keep)
        store.begin()
        begun.append(store)
        return store

    yield begin
    for one in begun:
        one.end()


def test_off_remembers_nothing(begin: Begin, tmp_path: Path) -> None:
    store = begin("off")
    store.tell(CHAT, b"told")
    assert store.get(CHAT) is None
    store.end()
    assert names(tmp_path) == []


def test_memory_remembers_until_the_end_and_writes_nothing(begin: Begin, tmp_path: Path) -> None:
    store = begin("memory")
    assert store.get(CHAT) == b""
    store.tell(CHAT, b"told")
    assert store.get(CHAT) == b"told"
    store.end()
    assert names(tmp_path) == []
    assert begin("memory").get(CHAT) == b""


def test_the_disk_remembers_for_the_next_start(begin: Begin, tmp_path: Path) -> None:
    store = begin("disk")
    store.tell(CHAT, b"told")
    store.end()
    assert begin("disk").get(CHAT) == b"told"
    mode = (tmp_path / SCHEMA.name).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_it_is_written_before_the_end(begin: Begin, tmp_path: Path) -> None:
    begin("disk").tell(CHAT, b"told")
    eventually(lambda: on_disk(tmp_path) == b"told")


def test_what_is_the_same_is_not_written_again(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix_store, "WRITE_S", 0.0)
    store = begin("disk")
    store.tell(CHAT, b"told")
    eventually(lambda: on_disk(tmp_path) == b"told")
    before = (tmp_path / SCHEMA.name).stat().st_ino
    store.tell(CHAT, b"told")
    store.end()
    assert (tmp_path / SCHEMA.name).stat().st_ino == before


@pytest.mark.parametrize("keep", ["memory", "off"])
def test_whoever_turns_the_disk_off_finds_nothing_left_on_it(
    begin: Begin, tmp_path: Path, keep: KeepPrefixes
) -> None:
    store = begin("disk")
    store.tell(CHAT, b"told")
    store.end()
    assert not begin(keep).get(CHAT)
    assert names(tmp_path) == [f"{SCHEMA.name}.lock"]


def test_what_another_server_writes_is_left_to_it(
    begin: Begin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = begin("disk")
    first.tell(CHAT, b"told")
    eventually(lambda: on_disk(tmp_path) == b"told")
    for keep in ("disk", "memory"):
        assert begin(keep).get(CHAT) == b""
    assert on_disk(tmp_path) == b"told"
    warned = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert warned == ["prefixes_not_kept"] * 2


def test_a_damaged_file_is_removed_since_prompts_may_be_in_it(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / SCHEMA.name).write_text("{")
    store = begin("disk")
    assert store.get(CHAT) == b""
    assert names(tmp_path) == [f"{SCHEMA.name}.lock"]
    store.tell(CHAT, b"told")
    store.end()
    assert on_disk(tmp_path) == b"told"


def test_a_full_disk_is_told_once_and_tried_again(
    begin: Begin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(prefix_store, "WRITE_S", 0.0)
    store = begin("disk")
    with monkeypatch.context() as bad_disk:
        bad_disk.setattr(os, "fsync", full)
        store.tell(CHAT, b"one")
        eventually(lambda: [one.getMessage() for one in caplog.records] == ["prefixes_not_kept"])
    store.tell(CHAT, b"two")
    store.end()
    assert on_disk(tmp_path) == b"two"


def test_a_disk_that_answers_nothing_keeps_nobody_waiting(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, asked = threading.Event(), threading.Event()

    def hang(_handle: int) -> None:
        asked.set()
        hangs.wait(60)

    monkeypatch.setattr(prefix_store, "END_S", 0.1)
    store = begin("disk")
    with monkeypatch.context() as bad_disk:
        bad_disk.setattr(os, "fsync", hang)
        store.tell(CHAT, b"told")
        assert asked.wait(60)
        store.tell(CHAT, b"more")
        assert store.get(CHAT) == b"more"
        store.end()
        hangs.set()
