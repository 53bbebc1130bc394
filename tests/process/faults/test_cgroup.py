"""A real cgroup for each worker. Needs a part of the tree that is ours, with the memory controller:

systemd-run --user --scope -p Delegate=memory bin/test process tests/process/faults/test_cgroup.py
or, as root, without --user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from supervisor import plan as plans
from supervisor.children import cgroup
from tests.process.box import CHAT, EMBED, Box, boxes, spec, wait_until

LIMIT_MB = 200


def missing() -> str | None:
    """What these tests lack here."""
    folder = cgroup.own_folder()
    if folder is None or not cgroup.delegated(folder):
        return "this process's cgroup is not delegated to it"
    if "memory" not in (folder / "cgroup.controllers").read_text().split():
        return "the memory controller is not delegated"
    return None


pytestmark = pytest.mark.skipif((why := missing()) is not None, reason=str(why))


class EnclosedBox(Box):
    """An edge-serve that finds itself in a delegated cgroup, as systemd's service does."""

    def start(self) -> None:
        self.folder = home() / f"box-{self.port}"
        self.folder.mkdir()
        os.setxattr(self.folder, "user.delegate", b"1")  # as systemd marks what it gives away
        self.run_dir.mkdir(mode=0o700)
        enter = f'echo $$ > {self.folder}/cgroup.procs; exec "$@"'
        argv = [sys.executable, "-P", "-m", "supervisor", str(plans.write(self.plan))]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", enter, "sh", *argv], stdout=log, stderr=log, start_new_session=True
            )

    def cell(self, replica: str, generation: int) -> Path:
        return self.folder / f"{replica}.{generation}"


def home() -> Path:
    """The cgroup that these tests share out; they themselves have to move into a leaf."""
    folder = cgroup.own_folder()
    assert folder is not None
    if folder.name == "tests":
        return folder.parent
    leaf = folder / "tests"
    leaf.mkdir(exist_ok=True)
    for pid in (folder / "cgroup.procs").read_text().split():
        (leaf / "cgroup.procs").write_text(pid)
    (folder / "cgroup.subtree_control").write_text("+memory")
    return folder


@pytest.fixture
def box() -> Iterator[EnclosedBox]:
    with boxes() as make:
        place = make().run_dir.parent
        box = EnclosedBox(place / "enclosed", spec(CHAT, memory_limit_mb=LIMIT_MB), spec(EMBED))
        box.wait_ready()
        yield box
        box.stop()


def test_each_worker_is_in_a_cgroup_with_its_hard_limit(box: EnclosedBox) -> None:
    pid = box.replica(CHAT)["pid"]
    cell = box.cell("chat-1", 1)
    assert (cell / "cgroup.procs").read_text().split() == [str(pid)]
    assert (cell / "memory.max").read_text().strip() == str(int(1.5 * LIMIT_MB) << 20)
    assert (box.cell("embed-1", 1) / "memory.max").read_text().strip() == "max"
    frontend = str(box.health()["frontend"]["pid"])
    own = (box.folder / "supervisor" / "cgroup.procs").read_text().split()
    assert sorted(own) == sorted([str(box.process.pid), frontend])


def test_over_its_hard_limit_the_kernel_ends_it_twice_and_then_the_circuit_opens(
    box: EnclosedBox,
) -> None:
    for generation in (1, 2):
        wait_until(lambda: box.replica(CHAT)["state"] == "ready")
        assert box.replica(CHAT)["generation"] == generation
        # Far over the hard limit at once, so the soft one has no time to act.
        answer = box.chat(f"/allocate 2000 {generation}")
        assert answer.json()["error"]["code"] == "worker_crashed"
    wait_until(lambda: box.replica(CHAT)["state"] == "failed")
    assert "the kernel had no memory for it" in box.replica(CHAT)["last_exit"]
    assert box.embed("others go on").status_code == 200
    assert box.replica(EMBED)["generation"] == 1


def test_a_worker_ends_with_all_that_it_started_and_its_cgroup_goes(box: EnclosedBox) -> None:
    assert box.chat("/daemon x").status_code == 200
    cell = box.cell("chat-1", 1)
    wait_until(lambda: len((cell / "cgroup.procs").read_text().split()) >= 4)
    family = [psutil.Process(int(pid)) for pid in (cell / "cgroup.procs").read_text().split()]
    os.kill(box.replica(CHAT)["pid"], 9)
    wait_until(lambda: not cell.exists())
    assert not any(process.is_running() for process in family)
