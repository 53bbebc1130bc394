"""How much memory of a GPU is free, told rightly where it shares the system's memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

from supervisor.host import nvidia
from supervisor.host.hardware import available_mb

# Parts of the names of GPUs that have no memory of their own. A Jetson's is "Orin (nvgpu)".
_SHARING = ("nvgpu", "tegra", "orin", "thor", "gb10")

# The name of a GPU and its free bytes; None where the driver does not tell.
Told = tuple[str, int | None]


def free_mb(
    device: str,
    ask: Callable[[str], Told | None] | None = None,
    system_mb: Callable[[], float] = available_mb,
) -> float:
    """What models could take of ``device``, say "cuda:1" or "mps"; infinite where nobody knows.

    Where a GPU shares the system's memory its driver counts the page cache as used (ollama #12283),
    or has no answer at all; what the system could give is the truth there.
    """
    if not device.startswith("cuda"):
        return system_mb()
    told = (ask or _ask)(device)
    if told is None:
        return math.inf
    name, free_bytes = told
    if free_bytes is None or any(part in name.lower() for part in _SHARING):
        return system_mb()
    return free_bytes / 2**20


def used_bytes(device: str, pids: Collection[int]) -> int | None:
    """What the driver accounts to these processes together; None where it accounts nothing to any
    of them, as in most containers."""

    def look(nvml: Any) -> int | None:
        running = nvml.nvmlDeviceGetComputeRunningProcesses(_handle(nvml, device))
        found = [one.usedGpuMemory for one in running if one.pid in pids and one.usedGpuMemory]
        return sum(found) or None

    return nvidia.ask(look, None)


def _ask(device: str) -> Told | None:
    def look(nvml: Any) -> Told:
        handle = _handle(nvml, device)
        name = str(nvml.nvmlDeviceGetName(handle))
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        except nvml.NVMLError:  # not supported: it has none of its own
            return name, None
        return name, memory.free

    return nvidia.ask(look, None)


def _handle(nvml: Any, device: str) -> Any:
    return nvml.nvmlDeviceGetHandleByIndex(int(device.partition(":")[2] or 0))
