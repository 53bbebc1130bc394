"""A child that cannot outlive its parent.

Two ropes, since each has a hole: the kernel's parent-death signal (Linux only, and lost when the
parent died before it was asked for), and a pipe whose write end only the parent holds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def hold(parent_pid: int, pipe_fd: int) -> None:
    """Die at once when ``parent_pid`` does. Call first thing, from the main thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)
    threading.Thread(target=_watch, args=(pipe_fd,), name="lifeline", daemon=True).start()


def _watch(pipe_fd: int) -> None:
    os.read(pipe_fd, 1)
    # Nobody is left to answer to, so no clean-up: kill the whole group, grandchildren included.
    os.killpg(os.getpgrp(), signal.SIGKILL)
