"""Signs of life that no message brings: what the system accounts to a process, as happenings.

To a worker that loads, work done is progress; of one that has fallen silent, it shows that it is
not stopped.
"""

from __future__ import annotations

from supervisor.effects import Child
from supervisor.fleet.member import Member
from supervisor.lifecycle.happenings import (
    Happening,
    Progressed,
    Suspended,
    Worked,
)

# One CPU second or one MiB read is progress in loading; waiting costs a process far less.
WORK_STEP = 1.0
# A worker that has missed a heartbeat is asked for by other means: its CPU seconds.
SILENT_S = 1.5
LIFE_STEP = 0.1


def signs(member: Member, now: float) -> list[Happening]:
    """What has been seen of ``member`` since it was last looked at."""
    replica, process = member.replica, member.process
    if process is None:
        return []
    loading = replica.state == "starting"
    silent = replica.silent_s(now) >= SILENT_S
    found: list[Happening] = []
    if loading or silent:
        found.append(Suspended(process.suspended_s(now)))
    if member.spec is None:
        return found
    if not loading and not silent:
        member.work_done = None
    elif _has_worked(member, process, WORK_STEP if loading else LIFE_STEP):
        found.append(Progressed() if loading else Worked())
    return found


def _has_worked(member: Member, process: Child, step: float) -> bool:
    """Whether its work has come ``step`` further; how far is what the next look starts from."""
    done = process.work_done()
    before = member.work_done
    if before is None or done - before >= step:
        member.work_done = done
    return before is not None and done - before >= step
