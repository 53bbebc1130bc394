"""How it is known that a server has ended without being stopped."""

from __future__ import annotations

import os
from pathlib import Path

from frontend.incidents.run_mark import RunMark


def kernel(tmp_path: Path, began: int, boot: str) -> Path:
    """What the kernel tells to the child of a server that began then."""
    proc = tmp_path / f"proc-{began}-{boot}"
    (proc / str(os.getppid())).mkdir(parents=True)
    before = "S " + "0 " * 18
    (proc / str(os.getppid()) / "stat").write_text(f"7 (a (b) c) {before}{began} 0 0\n")
    (proc / "sys" / "kernel" / "random").mkdir(parents=True)
    (proc / "sys" / "kernel" / "random" / "boot_id").write_text(f"{boot}\n")
    return proc


def test_a_server_that_was_stopped_leaves_nothing_to_tell(tmp_path: Path) -> None:
    folder = tmp_path / "incidents"
    mark = RunMark(folder, kernel(tmp_path, 100, "a"))
    assert mark.set(1.0) is None
    mark.remove()
    assert RunMark(folder, kernel(tmp_path, 200, "a")).set(2.0) is None


def test_a_new_frontend_of_the_same_server_finds_its_own(tmp_path: Path) -> None:
    proc = kernel(tmp_path, 100, "a")
    assert RunMark(tmp_path, proc).set(1.0) is None
    assert RunMark(tmp_path, proc).set(2.0) is None


def test_one_that_was_killed_is_told_of_by_the_next_once(tmp_path: Path) -> None:
    RunMark(tmp_path, kernel(tmp_path, 100, "a")).set(1.0)
    next_one = RunMark(tmp_path, kernel(tmp_path, 200, "a"))
    gone = next_one.set(2.0)
    assert gone is not None
    assert (gone.what, gone.time_s, gone.facts) == (
        "server-died",
        2.0,
        {"machine_restarted": False},
    )
    assert next_one.set(3.0) is None


def test_or_has_gone_with_its_machine(tmp_path: Path) -> None:
    RunMark(tmp_path, kernel(tmp_path, 100, "a")).set(1.0)
    gone = RunMark(tmp_path, kernel(tmp_path, 50, "b")).set(2.0)
    assert gone is not None
    assert gone.facts == {"machine_restarted": True}


def test_a_mark_that_is_broken_is_none(tmp_path: Path) -> None:
    (tmp_path / ".running").write_text("[1")
    assert RunMark(tmp_path, kernel(tmp_path, 100, "a")).set(1.0) is None
