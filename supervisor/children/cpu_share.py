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
from collections.abc import Iterable
from pathlib import Path

# Leaves it a tenth of what the others get. With less it would be taken for one that hangs.
MOST_NICE = 10


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
