"""A process that works for another one ends with it, whatever it does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ipc.runtime import lifeline

ROOT = Path(__file__).parents[3]
DEADLINE_S = 30.0

# Says by a file that it is there, as what it has started does, and stays.
CHILD = """
import os, subprocess, sys, time
from pathlib import Path
from ipc.runtime import lifeline

lifeline.hold(int(sys.argv[2]), int(sys.argv[3]))
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
said = Path(sys.argv[1])
said.with_suffix(".part").write_text(f"{os.getpid()} {below.pid}")
said.with_suffix(".part").rename(said)
time.sleep(600)
"""
# Whoever is started in the background of a shell has no SIGINT.
PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from ipc.runtime import lifeline

lifeline.run([sys.executable, "-c", sys.argv[1], sys.argv[2]], 600)
"""


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_gone(pids: list[int]) -> None:
    end_at = time.monotonic() + DEADLINE_S
    while any(map(lives, pids)):
        assert time.monotonic() < end_at, pids
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_who_asked(tmp_path: Path, how: signal.Signals) -> None:
    said = tmp_path / "pids"
    argv = [sys.executable, "-c", PARENT, CHILD, str(said)]
    with subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL) as parent:
        end_at = time.monotonic() + DEADLINE_S
        while not said.exists():
            assert time.monotonic() < end_at
            time.sleep(0.02)
        pids = [int(word) for word in said.read_text().split()]
        assert all(map(lives, pids))
        os.kill(parent.pid, how)
    # Where its parent is killed, the kernel may be faster than what kills all that it has started.
    wait_gone(pids if how == signal.SIGINT else pids[:1])
    with contextlib.suppress(ProcessLookupError):
        os.kill(pids[1], signal.SIGKILL)


def test_it_answers_what_it_was_given() -> None:
    argv = [sys.executable, "-c", "import sys; print(len(sys.argv), sys.stdin.read())"]
    done = lifeline.run(argv, DEADLINE_S, given=b"Hello")
    assert (done.returncode, done.stdout) == (0, b"3 Hello\n")


def test_it_has_so_long_only() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        lifeline.run([sys.executable, "-c", "import time; time.sleep(600)"], 0.2)
