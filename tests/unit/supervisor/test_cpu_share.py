"""How nice workers are, and that a process is made so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.children import cpu_share
from supervisor.children.cpu_share import MOST_NICE, be_nice, nice_of


@pytest.mark.parametrize(
    ("priority", "others", "nice"),
    [
        (0, [], 0),
        (0, [0, 0], 0),
        (0, [3], 3),
        (3, [0], 0),
        (-2, [3, 0], 5),
        (-100, [100], MOST_NICE),
    ],
)
def test_who_has_the_greatest_priority_is_as_usual_and_others_are_nicer(
    priority: int, others: list[int], nice: int
) -> None:
    assert nice_of(priority, others) == nice


@pytest.fixture
def child() -> Iterator[int]:
    """A process that leads a session and does nothing."""
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(argv, start_new_session=True) as process:
        yield process.pid
        process.kill()


def test_a_process_and_its_session_are_made_nice(child: int) -> None:
    be_nice(child, 4)
    assert os.getpriority(os.PRIO_PROCESS, child) == 4
    autogroup = Path(f"/proc/{child}/autogroup")
    if autogroup.exists():  # a kernel may have none
        assert autogroup.read_text().split()[-2:] == ["nice", "4"]


def test_one_that_has_ended_is_ignored(child: int) -> None:
    os.kill(child, 9)
    os.waitpid(child, 0)
    be_nice(child, 4)


THREADED = """
import sys, threading
print(flush=True)
sys.stdin.readline()
threading.Thread(target=threading.Event().wait, daemon=True).start()
print(flush=True)
sys.stdin.readline()
"""


def nice_values(pid: int) -> set[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return {os.getpriority(os.PRIO_PROCESS, int(thread.name)) for thread in threads}


@pytest.mark.skipif(not cpu_share._may_return(), reason="a nice value cannot be lowered here")
def test_what_let_others_first_takes_it_back_with_the_threads_that_it_has_started() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", THREADED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        cpu_share.let_others_first(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        assert nice_values(process.pid) == {MOST_NICE}
        cpu_share.be_nice_again(process.pid, 3)
        assert nice_values(process.pid) == {3}
        process.stdin.close()
