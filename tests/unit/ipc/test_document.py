"""A file of the state folder: versions that follow each other, damage, two writers, a bad disk."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.runtime import document, durable
from ipc.runtime.document import Damaged, InUse, NewerSchema, Schema, Writer

ROOT = Path(__file__).parents[3]


class Note(msgspec.Struct, frozen=True):
    text: str
    at_s: float


def in_a_list(note: Any) -> Any:
    """Version 0 had one note, 1 has a list of them."""
    return [note]


def in_seconds(notes: Any) -> Any:
    """Version 1 had minutes, 2 has seconds."""
    return [{"text": note["text"], "at_s": note["at_min"] * 60} for note in notes]


NOTES = Schema("notes.json", tuple[Note, ...], steps=(in_a_list, in_seconds), oldest=0)
V0 = b'{"version": 0, "content": {"text": "a", "at_min": 2}}'
V1 = b'{"version": 1, "content": [{"text": "a", "at_min": 2}, {"text": "b", "at_min": 3}]}'
V2 = b'{"version": 2, "content": [{"text": "a", "at_s": 120.0}]}'
A, B = Note("a", 120.0), Note("b", 180.0)


@pytest.fixture
def writer(tmp_path: Path) -> Writer[tuple[Note, ...]]:
    return Writer(tmp_path, NOTES)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "content"), [(V0, (A,)), (V1, (A, B)), (V2, (A,))])
def test_an_older_file_is_read_as_the_present_version_would_have_it(
    old: bytes, content: tuple[Note, ...], tmp_path: Path, writer: Writer[tuple[Note, ...]]
) -> None:
    file = tmp_path / "notes.json"
    file.write_bytes(old)
    assert document.read(tmp_path, NOTES) == content
    assert file.read_bytes() == old  # whoever only reads changes nothing
    writer.open()
    assert writer.content == content
    assert NOTES.decode(file.read_bytes(), file) == (content, 2)
    assert names(tmp_path) == ["notes.json", "notes.json.lock"]


def test_the_older_file_is_kept_until_the_new_one_is_on_the_disk(
    tmp_path: Path, writer: Writer[tuple[Note, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "notes.json"
    file.write_bytes(V0)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        writer.open()
    assert file.read_bytes() == V0
    assert (tmp_path / "notes.json.v0").read_bytes() == V0
    monkeypatch.undo()
    writer.open()
    assert names(tmp_path) == ["notes.json", "notes.json.lock"]


def test_a_newer_file_is_refused_in_one_line_and_left_alone(
    tmp_path: Path, writer: Writer[tuple[Note, ...]]
) -> None:
    file = tmp_path / "notes.json"
    newer = b'{"version": 3, "content": {"anything": 1}}'
    file.write_bytes(newer)
    expected = (
        f"{file} has schema version 3, and this edge-serve knows 2 at most; "
        "start the release that wrote it, or move the file away"
    )
    with pytest.raises(NewerSchema) as told:
        document.read(tmp_path, NOTES)
    assert str(told.value) == expected
    with pytest.raises(NewerSchema):
        writer.open()
    assert file.read_bytes() == newer
    with (tmp_path / "notes.json.lock").open("w") as lock:  # whoever was refused holds nothing
        assert durable.try_lock(lock.fileno())


# --- damage --------------------------------------------------------------------------------------

DAMAGED = [
    b"",
    b"{",
    b"[]",
    b'{"version": "2", "content": []}',
    b'{"version": -1, "content": []}',
    b'{"version": 2, "content": [{"text": "a"}]}',
    b'{"version": 1, "content": [{"text": "a"}]}',
    b'{"version": 0, "content": 7}',
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_moved_aside(
    content: bytes, tmp_path: Path, writer: Writer[tuple[Note, ...]]
) -> None:
    (tmp_path / "notes.json").write_bytes(content)
    with pytest.raises(Damaged, match=r"notes\.json"):
        document.read(tmp_path, NOTES)
    writer.open()
    aside = tmp_path / "notes.json.damaged"
    assert (writer.content, writer.moved_aside) == (None, aside)
    assert aside.read_bytes() == content
    writer.write((A,))
    assert document.read(tmp_path, NOTES) == (A,)


# --- writers -------------------------------------------------------------------------------------


def test_what_was_written_is_read_and_private(
    tmp_path: Path, writer: Writer[tuple[Note, ...]]
) -> None:
    assert document.read(tmp_path, NOTES) is None
    writer.open()
    assert writer.content is None
    writer.write((A, B))
    assert document.read(tmp_path, NOTES) == (A, B)
    assert (tmp_path / "notes.json").stat().st_mode & 0o777 == 0o600


def test_a_second_writer_is_refused_until_the_first_has_ended(
    tmp_path: Path, writer: Writer[tuple[Note, ...]]
) -> None:
    writer.open()
    second = Writer(tmp_path, NOTES)
    with pytest.raises(InUse, match=r"notes\.json is written by another edge-serve; set another"):
        second.open()
    writer.close()
    second.open()


def full(_handle: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, writer: Writer[tuple[Note, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.open()
    writer.write((A,))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        writer.write((A, B))
    assert document.read(tmp_path, NOTES) == writer.content == (A,)


WRITING = """
import sys
from pathlib import Path
from tests.unit.ipc.test_document import NOTES, Note
from ipc.runtime.document import Writer

writer = Writer(Path(sys.argv[1]), NOTES)
writer.open()
number = 0
while True:
    number += 1
    writer.write(tuple(Note("x" * 100, float(number)) for _ in range(100)))
    print(number, flush=True)
"""


def test_one_that_is_killed_while_it_writes_leaves_a_whole_file_and_no_lock(
    tmp_path: Path, writer: Writer[tuple[Note, ...]]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITING, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for _ in range(20):
            written = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    writer.open()
    assert writer.content is not None
    (at_s,) = {note.at_s for note in writer.content}
    assert at_s >= written
    assert len(writer.content) == 100
