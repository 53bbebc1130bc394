"""How much of the processors a worker gets while others want them too: by its model's priority.

A process that is nicer by one step gets 1/1.25 of the time (sched(7), "The nice value"). On a
kernel with autogroups, which most distributions have, that alone does nothing: they share the time
out among sessions first, and each of our children leads one. So a session's own nice value is set
as well. Measured, two processes on one processor, one of them nicer by 5: the other got 1.01 times
its time with the process's value alone, 3.1 times with both.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
from collections.abc import Iterable
from pathlib import Path

# Leaves it a tenth of what the others get. With less it would be taken for one that hangs.
MOST_NICE = 10
_CAP_SYS_NICE = 23
# The kernel's value of the limit for a nice value of 0.
_RLIMIT_OF_0 = 20


def nice_of(priority: int, priorities: Iterable[int]) -> int:
    """How nice the workers of a model are: by how much its ``priority`` is less than the greatest
    of ``priorities``. To be less nice than usual takes a privilege, so nobody ever is."""
    return min(MOST_NICE, max([priority, *priorities]) - priority)


def be_nice(pid: int, nice: int) -> None:
    """``pid`` has only just been started and leads a session: all threads of it will be so. What
    cannot be done is left; a process that has ended is ignored."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def let_others_first(pid: int) -> None:
    """``pid``, which has only just been started and leads a session, gets the least that anybody
    gets, until `be_nice_again`. Who may not take a nice value back leaves it to the session's."""
    _set(pid, MOST_NICE)


def be_nice_again(pid: int, nice: int) -> None:
    """Take that back for the process and all threads that it has started meanwhile."""
    _set(pid, nice)


def _set(pid: int, nice: int) -> None:
    if _may_return():
        with contextlib.suppress(OSError):
            # Of a group the kernel finds each thread, of a process its first alone.
            os.setpriority(os.PRIO_PGRP, pid, nice)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def _may_return() -> bool:
    """Whether this process may set a nice value of 0 where there is a higher one: it has the
    capability, or a limit that allows for it (getrlimit(2))."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NICE)
    if soft == resource.RLIM_INFINITY or soft >= _RLIMIT_OF_0:
        return True
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> _CAP_SYS_NICE & 1)
