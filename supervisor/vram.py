"""Memory of a GPU that a dead worker still holds: its successor waits for it, but not for ever.

A driver gives memory back some time after a process has gone. A worker started before that finds
the GPU full and dies in turn, so a crash would become a series of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supervisor import nvidia

SHARE = 0.9  # of what the dead worker held
WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Usage:
    """A GPU's memory in use, and the part of it that one process holds."""

    used_mb: float
    held_mb: float


# Asked for a device, say "cuda:0", and a pid. None: nobody knows.
Probe = Callable[[str, int], Usage | None]


class Vram:
    """What is known of one worker's memory on ``device``. Times are monotonic seconds."""

    def __init__(self, device: str, probe: Probe) -> None:
        self._device = device
        self._probe = probe
        self._last: Usage | None = None
        self._until = 0.0

    def note(self, pid: int) -> None:
        """The worker lives: remember what it holds."""
        self._last = self._probe(self._device, pid) or self._last

    def on_exit(self, now: float) -> None:
        """The worker has gone."""
        self._until = now + WAIT_S

    def is_back(self, now: float) -> bool:
        """Whether the next worker may start."""
        if self._last is not None and now < self._until:
            usage = self._probe(self._device, 0)
            wanted_mb = self._last.used_mb - SHARE * self._last.held_mb
            if usage is not None and usage.used_mb > wanted_mb:
                return False
        self._last = None
        return True


def nvml(device: str, pid: int) -> Usage | None:
    """The probe for NVIDIA GPUs; None without a driver, or where it keeps no account by process."""

    def look(nvml: Any) -> Usage | None:
        handle = nvml.nvmlDeviceGetHandleByIndex(int(device.partition(":")[2] or 0))
        used = nvml.nvmlDeviceGetMemoryInfo(handle).used
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        held = sum(one.usedGpuMemory or 0 for one in processes if one.pid == pid)
        return Usage(used / 2**20, held / 2**20)

    return nvidia.ask(look, None)
