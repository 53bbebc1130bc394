"""What a dead process leaves: cgroups, as plain files, and the kernel's count of kills.

The kernel's own part, that a limit holds and that a kill reaches everybody, needs a delegated
cgroup: `process/test_cgroup`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from supervisor.children import cgroup
from supervisor.children.cgroup import Cell, Tree
from supervisor.children.oom import OomWatch
from supervisor.children.orphans import Orphans
from supervisor.children.process import Exit
from supervisor.cleanup import Cleanup
from supervisor.fleet.member import Member
from supervisor.lifecycle.happenings import Exited
from supervisor.lifecycle.replica import Replica

EVENTS = "low 0\nhigh 0\nmax 3\noom 1\noom_kill {}\noom_group_kill 0\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A delegated cgroup, in which the kernel has put its files."""
    monkeypatch.setattr(cgroup, "delegated", lambda _: True)
    make_files(tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    return tmp_path


def make_files(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name in ("cgroup.procs", "cgroup.subtree_control", "memory.max", "memory.oom.group"):
        (folder / name).touch()
    (folder / "memory.events").write_text(EVENTS.format(0))


def claim(folder: Path) -> Tree:
    make_files(folder / cgroup.OWN)
    tree = Tree.claim(folder)
    assert tree is not None
    return tree


def test_the_supervisor_moves_into_a_leaf_and_shares_out_memory(folder: Path) -> None:
    claim(folder)
    assert (folder / "supervisor" / "cgroup.procs").read_text() == f"{os.getpid()}\n"
    assert (folder / "cgroup.subtree_control").read_text() == "+memory\n"


def test_a_worker_gets_a_cell_that_dies_as_one(folder: Path) -> None:
    tree = claim(folder)
    make_files(folder / "chat-1.3")
    cell = tree.cell("chat-1.3", pid=77)
    assert cell is not None
    assert (cell.folder / "cgroup.procs").read_text() == "77\n"
    assert (cell.folder / "memory.oom.group").read_text() == "1\n"
    cell.limit(1.5)
    assert (cell.folder / "memory.max").read_text() == "1572864\n"


def test_the_kernels_kills_are_read_from_the_cells_events(folder: Path) -> None:
    make_files(folder / "chat-1.3")
    cell = Cell(folder / "chat-1.3")
    assert cell.oom_kills() == 0
    (cell.folder / "memory.events").write_text(EVENTS.format(2))
    assert cell.oom_kills() == 2


def test_a_cell_goes_when_it_is_empty_and_not_before(folder: Path) -> None:
    cell = Cell(folder / "chat-1.3")
    make_files(cell.folder)
    (cell.folder / "cgroup.kill").touch()
    assert not cell.end()
    assert (cell.folder / "cgroup.kill").read_text() == "1\n"
    for file in cell.folder.iterdir():  # as the kernel's files do, with the cgroup
        file.unlink()
    assert cell.end()
    assert not cell.folder.exists()
    assert cell.end()


def test_cells_of_a_supervisor_that_was_killed_are_swept(folder: Path) -> None:
    (folder / "chat-1.9").mkdir()
    claim(folder)
    assert not (folder / "chat-1.9").exists()


def test_without_delegation_nothing_is_touched(tmp_path: Path) -> None:
    make_files(tmp_path)
    (tmp_path / "cgroup.controllers").write_text("memory\n")
    if os.getuid() == 0:
        assert Tree.claim(tmp_path) is None
        assert (tmp_path / "cgroup.procs").read_text() == ""
    assert Tree.claim(None) is None


def test_without_the_memory_controller_nothing_is_touched(folder: Path) -> None:
    (folder / "cgroup.controllers").write_text("cpu pids\n")
    assert Tree.claim(folder) is None
    assert (folder / "cgroup.procs").read_text() == ""


def test_a_kernel_that_refuses_costs_the_limits_and_nothing_else(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / cgroup.OWN).mkdir()  # without the kernel's files
    assert Tree.claim(folder) is None
    assert "no_cgroups" in caplog.text


def test_its_own_cgroup_is_the_line_of_version_2(tmp_path: Path) -> None:
    table = tmp_path / "cgroup"
    table.write_text("5:memory:/old\n0::/system.slice/edge-serve.service\n")
    found = cgroup.own_folder(Path("/sys/fs/cgroup"), table)
    assert found == Path("/sys/fs/cgroup/system.slice/edge-serve.service")
    table.write_text("5:memory:/old\n")
    assert cgroup.own_folder(Path("/sys/fs/cgroup"), table) is None


# --- without a cgroup: the machine's count ---


def test_a_kill_counts_for_those_who_die_about_then(tmp_path: Path) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("pgfault 5\noom_kill 4\n")
    watch = OomWatch(vmstat)
    assert not watch.just_killed(now=1.0)
    vmstat.write_text("pgfault 9\noom_kill 5\n")
    watch.look(now=2.0)
    assert watch.just_killed(now=3.0)
    assert watch.just_killed(now=4.0)  # the kernel may have taken two
    assert not watch.just_killed(now=10.0)


def test_a_kernel_that_does_not_count_has_killed_nobody(tmp_path: Path) -> None:
    assert not OomWatch(tmp_path / "none").just_killed(now=1.0)


# --- whose doing it was ---


def died(member: Member, reason: str, by: int | None) -> Exited:
    cleanup = Cleanup(Orphans(), OomWatch(), tree=None)
    return cleanup.exited(member, Exit(reason, by), now=1.0)


@pytest.mark.parametrize(("at_its_own", "outside"), [(0, True), (1, False)])
def test_a_kill_for_memory_is_its_own_doing_at_its_own_limit_only(
    tmp_path: Path, at_its_own: int, outside: bool
) -> None:
    (tmp_path / "memory.events").write_text(f"max 9\noom {at_its_own}\noom_kill 1\n")
    member = Member(Replica("chat-1", 60.0, 300.0), cell=Cell(tmp_path))
    found = died(member, "killed by SIGKILL", signal.SIGKILL)
    assert (found.oom, found.outside) == (True, outside)


def test_a_signal_that_was_sent_comes_from_outside_and_a_fault_from_within() -> None:
    member = Member(Replica("chat-1", 60.0, 300.0))
    assert died(member, "killed by SIGTERM", signal.SIGTERM).outside
    assert not died(member, "killed by SIGSEGV", None).outside
