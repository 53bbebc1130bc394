"""Which device and which engine a model gets, and what this box has to offer.

Found out without torch, whose import costs seconds and hundreds of megabytes.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ipc.types import Task
from supervisor.problems import ConfigError

# The engines that ship here: the tasks that each serves and the devices that it runs on. An engine
# may also be a dotted path of the user's own, about which nothing is known.
ENGINES: dict[str, tuple[set[str], set[str]]] = {
    "openvino": ({"chat", "embed", "rerank"}, {"cpu"}),
    "torch": ({"chat", "embed", "rerank"}, {"cpu", "cuda", "mps"}),
    "ctranslate2": ({"speech"}, {"cpu", "cuda"}),
    "remote": ({"chat", "embed", "rerank", "speech"}, {"cpu"}),
    "command": ({"chat", "embed", "rerank", "speech"}, {"cpu", "cuda", "mps"}),
    "echo": ({"chat", "embed", "rerank", "speech"}, {"cpu", "cuda", "mps"}),
}
_X86 = {"x86_64", "AMD64"}


@dataclass(frozen=True, kw_only=True)
class Box:
    """The hardware that an engine may use."""

    cpus: int = 1
    machine: str = "x86_64"
    cuda: bool = False
    mps: bool = False


def parse_device(text: str) -> str:
    """``text`` if it names a device. Raises `ValueError`."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", text):
        raise ValueError(f"{text!r} is not a device; set it to auto, cpu, mps, cuda or cuda:<n>")
    return text


def choose(engine: str, device: str, task: Task, *, converted: bool, box: Box) -> tuple[str, str]:
    """The engine and the device of a model, ``auto`` resolved. Raises `ConfigError`.

    ``converted``: the files are GGUF or OpenVINO IR, which openvino reads as they are; it would
    have to be handed a conversion of any other chat model.
    """
    if engine == "remote":
        device = "cpu"  # its worker's; a device that is set for all models is not meant for it
    if device == "auto":
        device = _best_device(engine, task, box)
    if engine == "auto":
        engine = _best_engine(device, task, converted, box)
    if "." not in engine:
        _check(engine, device, task)
    return engine, device


def _best_device(engine: str, task: Task, box: Box) -> str:
    if engine == "auto":
        engine = "ctranslate2" if task == "speech" else "torch"
    able = ENGINES[engine][1] if engine in ENGINES else {"cpu", "cuda", "mps"}
    if box.cuda and "cuda" in able:
        return "cuda"
    return "mps" if box.mps and "mps" in able else "cpu"


def _best_engine(device: str, task: Task, converted: bool, box: Box) -> str:
    if task == "speech":
        return "ctranslate2"
    if device == "cpu" and box.machine in _X86 and (task in ("embed", "rerank") or converted):
        return "openvino"
    return "torch"


def _check(engine: str, device: str, task: Task) -> None:
    if engine not in ENGINES:
        known = ", ".join(["auto", *ENGINES])
        raise ConfigError(f"engine: {engine!r} is not one of {known}, nor a dotted path")
    tasks, devices = ENGINES[engine]
    if task not in tasks:
        able = " or ".join(name for name in ENGINES if task in ENGINES[name][0])
        raise ConfigError(f"engine: {engine} does not serve {task} models; use {able}")
    if device.split(":")[0] not in devices:
        able = " or ".join(sorted(devices))
        raise ConfigError(f"device: engine {engine} runs on {able}, not on {device}; set auto")


def detect() -> Box:
    """What this machine has. A GPU counts only where the installed torch can use one."""
    return Box(
        cpus=count_cpus(),
        machine=platform.machine(),
        cuda=_torch_has_cuda() and _cuda_devices() > 0,
        mps=sys.platform == "darwin" and platform.machine() == "arm64",
    )


def _torch_has_cuda() -> bool:
    try:
        return "+cpu" not in version("torch")
    except PackageNotFoundError:
        return False


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


def count_cpus(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The processors that this process may keep busy: its affinity and its CPU quota."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, min([allowed, *_quotas(proc, cgroups)]))


def _quotas(proc: Path, cgroups: Path) -> Iterator[int]:
    """The CPU quotas (cgroup v2 ``cpu.max``) of our group and all above it, in whole processors."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    group = cgroups / own.lstrip("/")
    for folder in [group, *group.parents]:
        if not folder.is_relative_to(cgroups):
            return
        try:
            quota, period = (folder / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if quota != "max":
            yield -(-int(quota) // int(period))
