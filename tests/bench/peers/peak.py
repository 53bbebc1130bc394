"""The most memory that processes have had since they were last asked (Linux)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import psutil

# proc(5): sets the peak of a process to what it has now.
_FORGET_PEAK = "5"


def whole(pid: int) -> list[int]:
    """The process and all that it has started."""
    first = psutil.Process(pid)
    return [one.pid for one in (first, *first.children(recursive=True))]


def forget(pids: Sequence[int]) -> None:
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text(_FORGET_PEAK)


def peak_mb(pids: Sequence[int]) -> float:
    """Of all together, as if each had its most at the same time."""
    return sum(_peak_kb(Path(f"/proc/{pid}/status").read_text()) for pid in pids) / 1024


def _peak_kb(status: str) -> int:
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) if found else 0
