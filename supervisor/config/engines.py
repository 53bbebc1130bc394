"""Which device and which engine a model gets."""

from __future__ import annotations

import re

from ipc.facts.gguf import Header
from ipc.messages.jobs import Task
from supervisor.config.errors import ConfigError
from supervisor.host.hardware import Box

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
