"""No process outlives the worker that started it, whatever it did to get away.

A worker's group is killed with it, but a process may have made a session of its own. As the
"subreaper" of all its descendants (prctl(2)) the supervisor becomes the parent of those whose own
has died, so it finds them among its children.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection

import psutil

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
_PROBE_S = 5.0
_END_S = 1.0


def adopt() -> None:
    """From now on orphaned descendants become children of this process. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)


@functools.cache
def armed() -> list[str]:
    """The start of an argv by which a child asks for SIGKILL at its parent's death before its own
    program begins, so that it cannot be stopped before it has asked: a millisecond of setpriv(1)
    instead of the tenth of a second that Python takes to start. Empty where there is none.
    """
    argv = ["setpriv", "--pdeathsig", "KILL", "--"]
    if shutil.which(argv[0]) is None:
        return []
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        # Not every setpriv knows the option.
        probe = subprocess.run(
            [*argv, "true"], timeout=_PROBE_S, check=False, stderr=subprocess.DEVNULL
        )
        return argv if probe.returncode == 0 else []
    return []


class Orphans:
    """The adopted children of this process."""

    def __init__(self) -> None:
        self._doomed = False  # some were just killed, whose own children come next

    def sweep(self, own: Collection[int]) -> None:
        """Kill those of nobody in ``own``, the pids of the living children that we started. To be
        called when one of those has died. What a living one has detached within its session goes
        with that session."""
        self._doomed = False
        for process in psutil.Process().children():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if process.pid in own or os.getsid(process.pid) in own:
                    continue
                if process.status() != psutil.STATUS_ZOMBIE:
                    process.send_signal(signal.SIGKILL)
                    self._doomed = True

    def tick(self, own: Collection[int]) -> None:
        """Time has passed: finish what `sweep` began, and reap."""
        if self._doomed:
            self.sweep(own)
        reap(own)

    async def end(self) -> None:
        """Nobody is ours any more: kill and reap all that is left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                while psutil.Process().children():
                    self.sweep(())
                    reap(())
                    await asyncio.sleep(0.01)


def reap(own: Collection[int]) -> None:
    """Take the exit statuses of adopted children. Those of ``own`` have somebody who waits."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    with contextlib.suppress(ChildProcessError):  # no children at all
        while (dead := os.waitid(os.P_ALL, 0, flags)) is not None and dead.si_pid not in own:
            os.waitpid(dead.si_pid, 0)
