"""Measurements of workers, taken and kept by a thread: whatever the disk does, nobody waits."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipc.messages.spec import Spec
from ipc.runtime import document
from supervisor.state import recorder
from supervisor.state.footprints import SCHEMA, Footprints, Subject, find
from supervisor.state.recorder import Recorder, memory
from tests.unit.ipc.test_document import full

CHAT = Spec(name="chat", task="chat", engine="echo", path="", device="cpu")
MB = 1 << 20

Begin = Callable[..., Recorder]


def known(folder: Path) -> Footprints:
    return document.read(folder, SCHEMA) or ()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Begins a recorder for which a process with number n takes n MB, and 10 more while loading."""
    begun: list[Recorder] = []

    def begin(folder: Path | None = tmp_path) -> Recorder:
        fake = Recorder(folder, {"chat": "w1"}, lambda pid, _: (pid * MB, (pid + 10) * MB, None))
        fake.begin()
        begun.append(fake)
        return fake

    yield begin
    for one in begun:
        one.end()


def test_what_is_measured_is_known_to_the_next_start(begin: Begin, tmp_path: Path) -> None:
    first = begin()
    assert first.footprint(CHAT) is None
    first.measure(CHAT, 90)
    first.end()
    found = find(known(tmp_path), Subject.of(CHAT, "w1"))
    assert found is not None
    assert (found.private_mb, found.peak_mb) == (90, 100)
    second = begin()
    second.end()
    assert second.footprint(CHAT) == found


def test_what_the_last_load_took_is_kept_with_it(begin: Begin, tmp_path: Path) -> None:
    run = begin()
    for load_s in (8.0, 3.5, None):
        run.measure(CHAT, 90, load_s)
    run.end()
    assert [one.load_s for one in known(tmp_path)] == [3.5]


def test_a_run_keeps_its_largest_and_begins_anew(begin: Begin, tmp_path: Path) -> None:
    for pids, expected_mb in (([90, 120, 80], 120), ([70], 70)):
        run = begin()
        for pid in pids:
            run.measure(CHAT, pid)
        run.end()
        assert [one.private_mb for one in known(tmp_path)] == [expected_mb]


def test_one_that_has_gone_before_it_was_measured_changes_nothing(tmp_path: Path) -> None:
    run = Recorder(tmp_path, {}, lambda *_: None)
    run.begin()
    run.measure(CHAT, 1)
    run.end()
    assert known(tmp_path) == ()


def test_without_a_folder_it_is_known_until_the_end(begin: Begin) -> None:
    run = begin(None)
    run.measure(CHAT, 90)
    run.end()
    found = run.footprint(CHAT)
    assert found is not None
    assert found.private_mb == 90


def warned(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.getMessage(), str(record.__dict__.get("why") or record.__dict__.get("moved_to")))
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]


def test_a_full_disk_is_told_once_and_tried_again(
    begin: Begin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as bad_disk:
        bad_disk.setattr(os, "fsync", full)
        run = begin()
        for pid in (90, 91, 92):
            run.measure(CHAT, pid)
        run.end()
    assert [what for what, _ in warned(caplog)] == ["state_not_kept"]
    assert known(tmp_path) == ()
    found = run.footprint(CHAT)
    assert found is not None
    assert found.private_mb == 92


def test_a_folder_that_cannot_be_written_is_told_once(
    begin: Begin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    run = begin(tmp_path / "file")
    for pid in (90, 91):
        run.measure(CHAT, pid)
    run.end()
    assert [what for what, _ in warned(caplog)] == ["state_not_kept"]
    assert run.footprint(CHAT) is not None


def test_a_second_server_goes_on_without_keeping_anything(
    begin: Begin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    holder = document.Writer(tmp_path, SCHEMA)
    holder.open()
    second = begin()
    second.measure(CHAT, 90)
    second.end()
    ((what, why),) = warned(caplog)
    assert what == "state_not_kept"
    assert "is written by another edge-serve; set another EDGE_SERVE_STATE_DIR" in why
    assert second.footprint(CHAT) is not None
    assert known(tmp_path) == ()
    holder.close()


def test_a_damaged_file_is_moved_aside_with_a_warning(
    begin: Begin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "footprints.json").write_text("{")
    run = begin()
    run.measure(CHAT, 90)
    run.end()
    assert warned(caplog) == [("state_damaged", str(tmp_path / "footprints.json.damaged"))]
    assert [one.private_mb for one in known(tmp_path)] == [90]


def test_a_disk_that_answers_nothing_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, asked = threading.Event(), threading.Event()

    def hang(_handle: int) -> None:
        asked.set()
        hangs.wait(60)

    monkeypatch.setattr(os, "fsync", hang)
    monkeypatch.setattr(recorder, "END_S", 0.01)
    run = Recorder(tmp_path, {}, lambda pid, _: (pid, None, None))
    run.begin()
    for pid in range(1000):
        run.measure(CHAT, pid)
    assert asked.wait(60)
    run.end()
    assert run._thread.is_alive()
    hangs.set()
    run._thread.join(60)


# Each takes 50 MB, and ends with its input.
TWO_PROCESSES = """
import subprocess, sys
block = b"x" * (50 << 20)
child = "block = b'x' * (50 << 20); print(1, flush=True); input()"
with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE) as process:
    input()
    process.communicate(b"x")
"""


def test_a_process_is_measured_with_what_it_has_started() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TWO_PROCESSES], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        found = memory(process.pid, "cpu")
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert found is not None
    private_bytes, peak_bytes, device_bytes = found
    assert device_bytes is None
    assert 100 * MB < private_bytes < 200 * MB
    assert peak_bytes is not None
    assert peak_bytes > private_bytes
    assert memory(process.pid, "cpu") is None
