"""A child that cannot outlive its parent.

Two ropes, since each has a hole: the kernel's parent-death signal (Linux only, and lost when the
parent died before it was asked for), and a pipe whose write end only the parent holds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def hold(parent_pid: int, pipe_fd: int) -> None:
    """Die at once when ``parent_pid`` does. Call first thing, from the main thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)
    threading.Thread(target=_watch, args=(pipe_fd,), name="lifeline", daemon=True).start()


def run(
    argv: Sequence[str],
    timeout_s: float,
    *,
    given: bytes = b"",
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """What ``argv`` has said to what it was ``given``. Its two last arguments are added here, for
    its own `hold`. It and what it has started are killed if this is interrupted or takes longer
    than ``timeout_s``. Raises `OSError` and `subprocess.TimeoutExpired`."""
    read_end, write_end = os.pipe()
    try:
        child = subprocess.Popen(
            [*argv, str(os.getpid()), str(read_end)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            pass_fds=[read_end],
            process_group=0,
        )
        with child:
            try:
                said, errors = child.communicate(given, timeout_s)
            except BaseException:
                os.killpg(child.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(child.args, child.returncode, said, errors)
    finally:
        os.close(read_end)
        os.close(write_end)


def last_words(errors: bytes) -> str:
    """The last line that a child has written to its stderr; empty if there is none."""
    said = errors.decode(errors="replace").strip().splitlines()
    return said[-1] if said else ""


def _watch(pipe_fd: int) -> None:
    os.read(pipe_fd, 1)
    # Nobody is left to answer to, so no clean-up: kill the whole group, grandchildren included.
    os.killpg(os.getpgrp(), signal.SIGKILL)
