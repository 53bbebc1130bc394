"""Which device and which engine a model gets, and what this box has to offer.

Found out without torch, whose import costs seconds and hundreds of megabytes.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from supervisor.host import nvidia
from supervisor.host.cores import capacities, useful


@dataclass(frozen=True, kw_only=True)
class Box:
    """The hardware that an engine may use."""

    threads: int = 1  # that a model computes on
    machine: str = "x86_64"
    gpus: int = 0  # what the NVIDIA driver has
    cuda: bool = False  # and torch can use
    cublas12: bool = True  # where there is a GPU: CTranslate2 can use it
    onnxruntime: bool = False  # and the one that is installed can use a GPU
    mps: bool = False


def detect() -> Box:
    """What this machine has. A GPU counts only where torch can use one, as far as that is known."""
    gpus = _cuda_devices()
    return Box(
        threads=count_threads(),
        machine=platform.machine(),
        gpus=gpus,
        cuda=gpus > 0 and not _torch_is_for_cpus(),
        cublas12=gpus == 0 or _opens("libcublas.so.12"),
        onnxruntime=gpus > 0 and _is_installed("onnxruntime-gpu"),
        mps=sys.platform == "darwin" and platform.machine() == "arm64",
    )


def _torch_is_for_cpus() -> bool:
    """Whether such a build is installed. Where none is, the one to come will be for the GPU."""
    try:
        return "+cpu" in version("torch")
    except PackageNotFoundError:
        return False


def _is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _opens(library: str) -> bool:
    """Whether the system's loader finds it, as CTranslate2's wheel asks of it for cuBLAS 12. What
    a torch for CUDA 13 brings has another name."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _cuda_devices() -> int:
    """How many devices the NVIDIA driver answers for, CUDA_VISIBLE_DEVICES considered."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def count_threads(
    proc: Path = Path("/proc"),
    cgroups: Path = Path("/sys/fs/cgroup"),
    system: Path = Path("/sys/devices"),
) -> int:
    """On how many threads a model computes here: see `supervisor.host.cores`, and no more than the
    CPU quota allows."""
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
    else:
        allowed = set(range(os.cpu_count() or 1))
    return max(1, min([useful(capacities(allowed, system)), *_quotas(proc, cgroups)]))


def free_mb(kind: str, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The memory that models may take on a kind of device: free on the first GPU for ``cuda``, else
    available in the system, and no more than the cgroups allow."""
    if kind == "cuda" and (free := _free_cuda_bytes()) is not None:
        return free >> 20
    return int(min([psutil.virtual_memory().available, *_memory_limits(proc, cgroups)])) >> 20


def available_mb(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> float:
    """What the system could give now, and no more than each cgroup has left: files that it has read
    are dropped where memory is short."""
    left = [psutil.virtual_memory().available]
    for limit, used, inactive in zip(
        _read_groups("memory.max", proc, cgroups),
        _read_groups("memory.current", proc, cgroups),
        _read_groups("memory.stat", proc, cgroups),
        strict=False,
    ):
        if limit != "max":
            left.append(int(limit) - int(used) + _inactive_files(inactive))
    return max(0, min(left)) / 2**20


def _inactive_files(stat: str) -> int:
    lines = (line.split() for line in stat.splitlines())
    return next((int(value) for name, value in lines if name == "inactive_file"), 0)


def total_mb(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The memory of this machine, or what the cgroups allow of it."""
    return int(min([psutil.virtual_memory().total, *_memory_limits(proc, cgroups)])) >> 20


def _memory_limits(proc: Path, cgroups: Path) -> list[int]:
    return [int(text) for text in _read_groups("memory.max", proc, cgroups) if text != "max"]


def _free_cuda_bytes() -> int | None:
    return nvidia.ask(
        lambda nvml: int(nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(0)).free),
        None,
    )


def _quotas(proc: Path, cgroups: Path) -> Iterator[int]:
    """The CPU quotas (``cpu.max``), in whole processors."""
    for text in _read_groups("cpu.max", proc, cgroups):
        quota, _, period = text.partition(" ")
        if quota != "max":
            yield -(-int(quota) // int(period))


def _read_groups(file: str, proc: Path, cgroups: Path) -> Iterator[str]:
    """What ``file`` of our cgroup (v2) says, and of all above it."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    group = cgroups / own.lstrip("/")
    for folder in [group, *group.parents]:
        if not folder.is_relative_to(cgroups):
            return
        with suppress(OSError):
            yield (folder / file).read_text().strip()
