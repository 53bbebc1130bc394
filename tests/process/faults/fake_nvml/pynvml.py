"""What the supervisor asks of NVIDIA's library, answered from a file: a GPU for boxes without one.

The file that FAKE_NVML names holds ``{"used": bytes, "held": {pid: bytes}}``. Each time that
somebody asks who holds memory, the pids that are told become a line of ``.listed`` beside it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

TOTAL = 8 << 30


class NVMLError(Exception):
    """The driver does not answer."""


def _gpu() -> Any:
    return json.loads(Path(os.environ["FAKE_NVML"]).read_text())


def nvmlInit() -> None:  # noqa: N802
    if "FAKE_NVML" not in os.environ:
        raise NVMLError


def nvmlShutdown() -> None:  # noqa: N802
    pass


def nvmlDeviceGetCount() -> int:  # noqa: N802
    return 1


def nvmlDeviceGetName(_: int) -> str:  # noqa: N802
    return "a file"


def nvmlDeviceGetUtilizationRates(_: int) -> SimpleNamespace:  # noqa: N802
    return SimpleNamespace(gpu=0)


def nvmlDeviceGetHandleByIndex(index: int) -> int:  # noqa: N802
    return index


def nvmlDeviceGetMemoryInfo(_: int) -> SimpleNamespace:  # noqa: N802
    return SimpleNamespace(used=_gpu()["used"], total=TOTAL)


def nvmlDeviceGetComputeRunningProcesses(_: int) -> list[SimpleNamespace]:  # noqa: N802
    held = _gpu()["held"].items()
    with Path(os.environ["FAKE_NVML"]).with_suffix(".listed").open("a") as listed:
        print(*(pid for pid, _ in held), file=listed)
    return [SimpleNamespace(pid=int(pid), usedGpuMemory=taken) for pid, taken in held]
