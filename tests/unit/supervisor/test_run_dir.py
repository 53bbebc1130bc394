"""The run folder while others remove it, or parts of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from supervisor.run_dir import InUseError, RunDir, owner


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def claimed(folder: Path) -> RunDir:
    found = RunDir(folder)
    found.claim()
    return found


def test_a_folder_that_was_removed_is_made_again_and_is_still_ours_alone(
    claimed: RunDir, folder: Path
) -> None:
    assert claimed.whole()
    shutil.rmtree(folder)
    assert not claimed.whole()
    claimed.restore()
    assert claimed.whole()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert owner(folder) == os.getpid()
    with pytest.raises(InUseError):
        RunDir(folder).claim()
    claimed.release()
    assert list(folder.iterdir()) == []


def test_a_lock_that_was_removed_is_taken_anew_and_nothing_else_is_touched(
    claimed: RunDir, folder: Path
) -> None:
    (folder / "control").touch()
    (folder / "lock").unlink()
    assert not claimed.whole()
    claimed.restore()
    assert claimed.whole()
    assert {path.name for path in folder.iterdir()} == {"control", "lock"}
    with pytest.raises(InUseError):
        RunDir(folder).claim()


def test_a_folder_in_another_ones_place_is_taken_with_its_lock(
    claimed: RunDir, folder: Path
) -> None:
    folder.rename(folder.with_name("moved"))
    folder.mkdir(mode=0o700)
    (folder.with_name("moved") / "lock").rename(folder / "lock")
    assert not claimed.whole()
    claimed.restore()
    assert claimed.whole()
    with pytest.raises(InUseError):
        RunDir(folder).claim()


def test_who_was_faster_keeps_the_folder_and_all_that_is_in_it(
    claimed: RunDir, folder: Path
) -> None:
    shutil.rmtree(folder)
    other = RunDir(folder)
    other.claim()
    other.control.touch()
    with pytest.raises(InUseError):
        claimed.restore()
    claimed.release()
    assert other.whole()
    assert other.control.exists()


def test_a_folder_that_others_made_in_its_place_is_refused(claimed: RunDir, folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with pytest.raises(OSError, match="not private"):
        claimed.restore()
    shutil.rmtree(folder)
    folder.symlink_to("/tmp")
    with pytest.raises(OSError, match="not private"):
        claimed.restore()


def test_the_end_bears_a_folder_that_is_gone(claimed: RunDir, folder: Path) -> None:
    shutil.rmtree(folder)
    claimed.release()
    assert not folder.exists()


def test_restoring_leaves_no_descriptor_behind(claimed: RunDir, folder: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        shutil.rmtree(folder)
        claimed.restore()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
