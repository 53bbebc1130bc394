"""What is kept on the disk, killed at each step: the old is there or the new, never half of one."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.runtime import durable

ROOT = Path(__file__).parents[3]

# For each number that it is told, does its work in a process that is killed before the call of that
# number, of those that change something on the disk; says how that process has ended.
MORTAL = """
import os, signal, sys
from pathlib import Path
from ipc.runtime import durable

left = 0

def mortal(call):
    def called(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return called

def no_exchange(one, other):
    raise OSError(22, "cannot exchange")

durable._exchange = no_exchange if "apart" in sys.argv else mortal(durable._exchange)
for name in ("open", "fsync", "rename", "replace", "mkdir", "unlink", "rmdir"):
    setattr(os, name, mortal(getattr(os, name)))
place = Path(sys.argv[1])

def work():
    WORK

for line in sys.stdin:
    left = int(line)
    if (child := os.fork()) == 0:
        work()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
FOLDER = """
    with durable.new_folder(place) as partial:
        for name in ("one", "deep/two"):
            (partial / name).parent.mkdir(exist_ok=True)
            (partial / name).write_text("new")
"""
FILE = 'durable.write_file(place, b"new" * 100)'


def killed_at_each_step(work: str, place: Path, *flags: str) -> Iterator[None]:
    """Do ``work`` again and again, killed one step later each time, until it gets through."""
    with subprocess.Popen(
        [sys.executable, "-c", MORTAL.replace("WORK", work), str(place), *flags],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for step in range(100):
            print(step, file=process.stdin, flush=True)
            status = int(process.stdout.readline())
            yield
            if status == 0:
                assert step > 3  # it was killed at all
                process.stdin.close()
                return
            assert status == -signal.SIGKILL


def content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def beside(place: Path) -> list[str]:
    return sorted(path.name for path in place.parent.iterdir() if path != place)


OLD, NEW = {"zero": "old"}, {"one": "new", "deep/two": "new"}


def write_old(place: Path) -> None:
    place.mkdir(exist_ok=True)
    (place / "zero").write_text("old")


# --- folders -------------------------------------------------------------------------------------


def test_a_folder_is_there_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "deeper" / "place"
    with durable.new_folder(place) as partial:
        (partial / "one").write_text("new")
        assert not place.exists()
        assert durable.is_partial(partial)
    assert content(place) == {"one": "new"}
    assert beside(place) == []


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "place"
    write_old(place)
    with pytest.raises(FileNotFoundError), durable.new_folder(place) as partial:
        (partial / "no folder" / "one").write_text("new")
    assert content(place) == OLD
    assert beside(place) == []


def test_a_writer_that_is_killed_leaves_the_old_folder_or_the_new(tmp_path: Path) -> None:
    place = tmp_path / "place"
    write_old(place)
    for _ in killed_at_each_step(FOLDER, place):
        assert content(place) in (OLD, NEW)
    assert content(place) == NEW
    assert beside(place) == []


def test_a_first_writer_that_is_killed_leaves_nothing_or_all(tmp_path: Path) -> None:
    place = tmp_path / "place"
    for _ in killed_at_each_step(FOLDER, place):
        assert not place.exists() or content(place) == NEW
    assert content(place) == NEW


def test_where_folders_cannot_be_exchanged_the_next_writer_finds_the_old_one(
    tmp_path: Path,
) -> None:
    place = tmp_path / "place"
    write_old(place)
    seen_apart = False
    for _ in killed_at_each_step(FOLDER, place, "apart"):
        seen_apart |= not place.exists()
        with pytest.raises(RuntimeError), durable.new_folder(place):
            raise RuntimeError
        assert content(place) in (OLD, NEW)
    assert seen_apart
    assert content(place) == NEW
    assert beside(place) == []


def test_all_is_flushed_before_it_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    done: list[str] = []

    def noted(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(target: Any, *more: Any) -> Any:
            path = Path(f"/proc/self/fd/{target}").readlink() if what == "flush" else target
            done.append(f"{what} {path.relative_to(tmp_path)}")
            return call(target, *more)

        return called

    monkeypatch.setattr(os, "fsync", noted("flush", os.fsync))
    monkeypatch.setattr(os, "rename", noted("move", os.rename))
    with durable.new_folder(place) as partial:
        (partial / "deep").mkdir()
        (partial / "deep" / "two").write_text("new")
    assert done == [
        "flush place.partial",
        "flush place.partial/deep/two",
        "flush place.partial/deep",
        "move place.partial",
        "flush .",
    ]


def test_a_disk_that_fails_while_folders_change_places_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_one: Path, _other: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(durable, "_exchange", fail)
    place = tmp_path / "place"
    write_old(place)
    with pytest.raises(OSError, match="Input/output error"), durable.new_folder(place):
        pass
    assert content(place) == OLD


# --- files ---------------------------------------------------------------------------------------


def test_a_writer_that_is_killed_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_bytes(b"old")
    for _ in killed_at_each_step(FILE, place):
        assert place.read_bytes() in (b"old", b"new" * 100)
    assert place.read_bytes() == b"new" * 100


def test_a_file_that_cannot_be_written_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    place = tmp_path / "place"
    place.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        durable.write_file(place, b"new")
    assert place.read_bytes() == b"old"
    assert beside(place) == []


def test_a_file_has_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    durable.write_file(tmp_path / "place", b"new", 0o600)
    assert (tmp_path / "place").stat().st_mode & 0o777 == 0o600


# --- turns ---------------------------------------------------------------------------------------


def test_a_lock_is_waited_for_and_released(tmp_path: Path) -> None:
    tried: list[bool] = []

    with (tmp_path / "lock").open("w") as other:
        assert durable.try_lock(other.fileno())

        def wait(take: Callable[[], bool]) -> None:
            tried.append(take())
            fcntl.flock(other, fcntl.LOCK_UN)
            tried.append(take())

        with durable.held(tmp_path / "lock", wait):
            assert tried == [False, True]
            assert not durable.try_lock(other.fileno())
        assert durable.try_lock(other.fileno())


def test_who_gives_up_on_a_lock_does_not_enter(tmp_path: Path) -> None:
    def wait(_take: Callable[[], bool]) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError), durable.held(tmp_path / "lock", wait):
        pytest.fail("entered")


def test_what_keeps_a_file_from_being_written_is_told_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    assert durable.why_not_written(file) == "No such file or directory"
    file.write_bytes(b"")
    assert durable.why_not_written(file) == ""
    # Whoever is root may write to any folder.
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert durable.why_not_written(file) == f"{tmp_path}: Permission denied"
    told = os.statvfs(file)
    read_only = os.statvfs_result([*told[:8], told.f_flag | os.ST_RDONLY, told.f_namemax])
    monkeypatch.setattr(os, "statvfs", lambda _path: read_only)
    assert durable.why_not_written(file) == "Read-only file system"
