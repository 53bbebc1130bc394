"""Who was killed for memory: the kernel leaves SIGKILL and no note, but it counts.

Where a worker has a cgroup of its own, that one's count is exact. Elsewhere a SIGKILL that none of
ours sent, just when the machine's count rose, is taken for the kernel's.
"""

from __future__ import annotations

from pathlib import Path

VMSTAT = Path("/proc/vmstat")
# The count is read each second; the process's end may be noticed before it or after.
_NEAR_S = 3.0
KEY = "oom_kill"


class OomWatch:
    """The machine's count of processes killed for memory. Times are monotonic seconds."""

    def __init__(self, vmstat: Path = VMSTAT) -> None:
        self._vmstat = vmstat
        self._count = count(vmstat)
        self._rose_at: float | None = None

    def look(self, now: float) -> None:
        """Note whether the count has risen."""
        found = count(self._vmstat)
        if found > self._count:
            self._rose_at = now
        self._count = found

    def just_killed(self, now: float) -> bool:
        """Whether the kernel has killed somebody about now."""
        self.look(now)
        return self._rose_at is not None and now - self._rose_at <= _NEAR_S


def count(file: Path, key: str = KEY) -> int:
    """What a file of the kernel's counts as ``key``, one "name value" on a line; 0 where it does
    not tell."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key} ")), 0)
