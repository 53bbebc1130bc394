"""This box's node as the commands see it: whether it runs, and its end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from ipc import cluster
from ipc.cluster import Node
from supervisor.cluster import node
from supervisor.cluster.node import NodeError

# Each is started as the node is, but for what it does. The last arguments are the module and the
# folder: by these a node is known.
LOCKS = """
import fcntl, sys, time
lock = open(sys.argv[-1] + "/node.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(600)
"""
REFUSES = "import sys; sys.exit('no way in')"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    found: list[subprocess.Popen[str]] = []
    yield found
    for one in found:
        one.kill()
        one.communicate()


def run(folder: Path, code: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", code, "worker.cluster.node", str(folder)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def starting(folder: Path, started: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """One that has the lock and is not up yet."""
    one = run(folder, LOCKS)
    started.append(one)
    assert one.stdout is not None
    assert one.stdout.readline() == "locked\n"
    return one


def say_up(folder: Path) -> None:
    (folder / cluster.NODE).write_bytes(msgspec.json.encode(Node(pid=1, id="n")))


def test_one_that_is_up_is_known_by_its_lock(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    say_up(tmp_path)
    assert node.running(tmp_path) is None  # left behind by one that was killed
    starting(tmp_path, started)
    assert node.running(tmp_path) == Node(pid=1, id="n")


def test_one_that_has_yet_to_come_up_is_ended_too(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    """Else it would come up for a box that belongs to no cluster any more."""
    one = starting(tmp_path, started)
    other = starting(tmp_path.parent, started)
    node.stop(tmp_path)
    assert one.wait(60) != 0
    assert other.poll() is None


def test_where_none_is_there_is_nothing_to_end(tmp_path: Path) -> None:
    node.stop(tmp_path)


def test_a_start_that_finds_another_one_on_its_way_waits_for_it(
    tmp_path: Path, started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    starting(tmp_path, started)

    def spawn(folder: Path) -> subprocess.Popen[str]:
        started.append(run(folder, REFUSES))
        started[-1].wait()
        return started[-1]

    monkeypatch.setattr(node, "spawn", spawn)
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: say_up(tmp_path))
    monkeypatch.setattr(node, "time", clock)
    assert node.start(tmp_path) == Node(pid=1, id="n")


def test_one_that_does_not_come_up_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spawn(folder: Path) -> subprocess.Popen[str]:
        one = run(folder, REFUSES)
        (folder / cluster.LOG).write_text(one.communicate()[0])
        return one

    monkeypatch.setattr(node, "spawn", spawn)
    with pytest.raises(NodeError, match="no way in"):
        node.start(tmp_path)
