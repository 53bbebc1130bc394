"""Memory of a GPU that a dead worker still holds: its successor waits for it, but not for ever.

A driver gives memory back some time after a process has gone. A worker started before that finds
the GPU full and dies in turn, so a crash would become a series of them. What other processes hold
is no reason to wait: it may never come back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from supervisor.host import nvidia

WAIT_S = 30.0

# Whether a device, say "cuda:0", lists the process of that pid among those that hold memory.
Probe = Callable[[str, int], bool]


class Vram:
    """What is known of one worker's memory on ``device``. Times are monotonic seconds."""

    def __init__(self, device: str, probe: Probe) -> None:
        self._device = device
        self._probe = probe
        self._pid: int | None = None  # of the last worker that was seen to hold memory
        self._until = 0.0

    def note(self, pid: int) -> None:
        """The worker lives: remember it once it is listed. In a container it may never be, since
        the driver knows it by another pid; then its successor does not wait."""
        if self._probe(self._device, pid):
            self._pid = pid

    def on_exit(self, now: float) -> None:
        """The worker has gone."""
        self._until = now + WAIT_S

    def is_back(self, now: float) -> bool:
        """Whether the next worker may start: the dead one is listed no more, or has been waited
        for long enough."""
        if self._pid is not None and now < self._until and self._probe(self._device, self._pid):
            return False
        self._pid = None
        return True


def nvml(device: str, pid: int) -> bool:
    """The probe for NVIDIA GPUs; False without a driver."""

    def look(nvml: Any) -> bool:
        handle = nvml.nvmlDeviceGetHandleByIndex(int(device.partition(":")[2] or 0))
        return any(one.pid == pid for one in nvml.nvmlDeviceGetComputeRunningProcesses(handle))

    return nvidia.ask(look, False)
