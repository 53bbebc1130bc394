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
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from ipc.facts.gguf import Header
from ipc.messages.spec import Task
from supervisor.config.errors import ConfigError
from supervisor.host import nvidia
from supervisor.host.cores import capacities, useful

# The engines that ship here: the tasks that each serves and the devices that it runs on. An engine
# may also be a dotted path of the user's own, about which nothing is known.
ENGINES: dict[str, tuple[set[str], set[str]]] = {
    "openvino": ({"chat", "embed", "rerank"}, {"cpu"}),
    "torch": ({"chat", "embed", "rerank", "speech"}, {"cpu", "cuda", "mps"}),
    "ctranslate2": ({"speech"}, {"cpu", "cuda"}),
    "llama.cpp": ({"chat"}, {"cpu"}),
    "remote": ({"chat", "embed", "rerank", "speech"}, {"cpu"}),
    "command": ({"chat", "embed", "rerank", "speech"}, {"cpu", "cuda", "mps"}),
    "echo": ({"chat", "embed", "rerank", "speech"}, {"cpu", "cuda", "mps"}),
}
# Those that convert what was pulled, once, before it is served.
CONVERTING = {"openvino", "ctranslate2"}
_X86 = {"x86_64", "AMD64"}

# What OpenVINO GenAI makes of a GGUF file (its src/cpp/src/gguf_utils, release 2026.4): three
# architectures, and weights as F32, F16, Q4_0, Q4_1, Q8_0, Q4_K, Q6_K or BF16, by ggml's numbers.
_OPENVINO_ARCHITECTURES = {"llama", "qwen2", "qwen3"}
_OPENVINO_TENSORS = {0, 1, 2, 3, 8, 12, 14, 30}


@dataclass(frozen=True, kw_only=True)
class Box:
    """The hardware that an engine may use."""

    threads: int = 1  # that a model computes on
    machine: str = "x86_64"
    gpus: int = 0  # what the NVIDIA driver has
    cuda: bool = False  # and torch can use
    cublas12: bool = True  # where there is a GPU: CTranslate2 can use it
    mps: bool = False


def parse_device(text: str) -> str:
    """``text`` if it names a device. Raises `ValueError`."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", text):
        raise ValueError(f"{text!r} is not a device; set it to auto, cpu, mps, cuda or cuda:<n>")
    return text


def openvino_reads(header: Header) -> bool:
    """Whether the GGUF file of such a header is one for OpenVINO."""
    known = header.architecture in _OPENVINO_ARCHITECTURES
    return known and header.tensor_types <= _OPENVINO_TENSORS


def choose(
    engine: str,
    device: str,
    task: Task,
    *,
    converted: bool,
    box: Box,
    gguf: bool = False,
    checkpoint: bool = False,
) -> tuple[str, str]:
    """The engine and the device of a model, ``auto`` resolved. Raises `ConfigError`.

    ``converted``: the files are OpenVINO IR, or GGUF that openvino reads as it is; it would have to
    be handed a conversion of any other chat model. ``gguf``: the model is one file of that kind.
    ``checkpoint``: the files are known to be those of transformers, which torch reads.
    """
    if engine == "remote":
        device = "cpu"  # its worker's; a device that is set for all models is not meant for it
    if engine == "auto" and task == "speech":
        engine = _speech_engine(device, checkpoint, box)
    if device == "auto":
        device = _best_device(engine, box)
    if engine == "auto":
        engine = _best_engine(device, task, converted, gguf, box)
    if engine in ENGINES or "." not in engine:
        _check(engine, device, task)
    return engine, device


def _speech_engine(device: str, checkpoint: bool, box: Box) -> str:
    """CTranslate2, unless that cannot use the GPU that is wanted or there, and torch can."""
    on_gpu = device.startswith("cuda") or (device == "auto" and box.cuda)
    return "torch" if on_gpu and checkpoint and not box.cublas12 else "ctranslate2"


def _best_device(engine: str, box: Box) -> str:
    if engine == "auto":
        engine = "torch"
    able = ENGINES[engine][1] if engine in ENGINES else {"cpu", "cuda", "mps"}
    if box.cuda and "cuda" in able and (engine != "ctranslate2" or box.cublas12):
        return "cuda"
    return "mps" if box.mps and "mps" in able else "cpu"


def _best_engine(device: str, task: Task, converted: bool, gguf: bool, box: Box) -> str:
    if device == "cpu" and box.machine in _X86 and (task in ("embed", "rerank") or converted):
        return "openvino"
    if device == "cpu" and task == "chat" and gguf:
        return "llama.cpp"
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
    """What this machine has. A GPU counts only where torch can use one, as far as that is known."""
    gpus = _cuda_devices()
    return Box(
        threads=count_threads(),
        machine=platform.machine(),
        gpus=gpus,
        cuda=gpus > 0 and not _torch_is_for_cpus(),
        cublas12=gpus == 0 or _opens("libcublas.so.12"),
        mps=sys.platform == "darwin" and platform.machine() == "arm64",
    )


def _torch_is_for_cpus() -> bool:
    """Whether such a build is installed. Where none is, the one to come will be for the GPU."""
    try:
        return "+cpu" in version("torch")
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
