"""What the kernel tells, and what it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from frontend.incidents import machine


def test_a_kernel_log_that_may_not_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    found = machine.kernel_log(300, tmp_path / "kmsg")
    assert (found["readable"], found["lines"]) == (False, [])
    assert "No such file" in found["why"]


def test_its_lines_have_their_age_and_old_ones_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [
        b"6,1,10000000,-;long ago\n",
        b"3,2,990500000,-;Out of memory: Killed process 77 (python)\n SUBSYSTEM=memory\n",
    ]
    monkeypatch.setattr("os.read", lambda *_: records.pop(0) if records else b"")
    monkeypatch.setattr("time.clock_gettime", lambda _: 1000.0)
    (tmp_path / "kmsg").touch()
    assert machine.kernel_log(300, tmp_path / "kmsg") == {
        "readable": True,
        "lines": [{"at_s": -9.5, "text": "Out of memory: Killed process 77 (python)"}],
    }


def test_memory_is_told_by_control_group_up_to_the_first(tmp_path: Path) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/system/edge-serve\n")
    (tmp_path / "proc" / "vmstat").write_text("nr_free 1\noom_kill 3\n")
    own = tmp_path / "cgroup" / "system" / "edge-serve"
    own.mkdir(parents=True)
    (own / "memory.max").write_text("1000\n")
    (own.parent / "memory.events").write_text("oom 1\noom_kill 1\n")
    found = machine.memory(tmp_path / "cgroup", tmp_path / "proc")
    assert found["oom_kills"] == 3
    assert found["cgroups"] == {
        "/system/edge-serve": {"memory.max": "1000"},
        "/system": {"memory.events": "oom 1\noom_kill 1"},
    }
    assert found["meminfo"] is None


def test_versions_are_of_what_is_here() -> None:
    found = machine.versions()
    assert found["python"].count(".") == 2
    assert "msgspec" in found
    assert os.uname().release in found["system"]
