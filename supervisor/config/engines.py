"""Which device and which engine a model gets."""

from __future__ import annotations

import re

from ipc.engines import ENGINES, LISTED, TEST_ENGINES, Descriptor, allows_tests, is_own
from ipc.facts.gguf import OPENVINO_TENSORS, UNPACKED_TENSORS, Header
from ipc.messages.jobs import Task
from supervisor.config.errors import ConfigError
from supervisor.host.hardware import Box

_X86 = {"x86_64", "AMD64"}

# Of which GGUF files OpenVINO GenAI makes a model (its src/cpp/src/gguf_utils, release 2026.4).
_OPENVINO_ARCHITECTURES = {"llama", "qwen2", "qwen3"}


def parse_device(text: str) -> str:
    """``text`` if it names a device. Raises `ValueError`."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", text):
        raise ValueError(f"{text!r} is not a device; set it to auto, cpu, mps, cuda or cuda:<n>")
    return text


def check_allowed(engine: str) -> None:
    """Raises `ValueError` for an engine that is for tests, unless they are being run."""
    if engine in ENGINES and ENGINES[engine].is_hidden and not allows_tests():
        raise ValueError(
            f"engine: {engine} is for the tests of edge-serve: it has no model, and breaks on "
            f"command; take another, or set {TEST_ENGINES}=1 where only tests can reach it"
        )


def openvino_reads(header: Header) -> bool:
    """Whether the GGUF file of such a header is one for OpenVINO, where nothing was measured."""
    known = header.architecture in _OPENVINO_ARCHITECTURES
    return known and header.tensor_types <= OPENVINO_TENSORS


def gguf_readers(header: Header, machine: str) -> tuple[str, ...]:
    """The engines that can serve the GGUF file of such a header on CPUs of that ``machine``:
    weights that OpenVINO's reader does not know are rewritten as it is converted."""
    known = header.architecture in _OPENVINO_ARCHITECTURES
    rewritten = header.tensor_types <= OPENVINO_TENSORS | UNPACKED_TENSORS
    return ("openvino", "llama.cpp") if known and rewritten and machine in _X86 else ("llama.cpp",)


def choose(
    engine: str,
    device: str,
    task: Task,
    *,
    converted: bool,
    box: Box,
    gguf: bool = False,
    checkpoint: bool = False,
    fastest: str = "",
    hears: str = "",
) -> tuple[str, str]:
    """The engine and the device of a model, ``auto`` resolved. Raises `ConfigError`.

    ``converted``: the files are OpenVINO IR, or GGUF that openvino reads as it is; it would have to
    be handed a conversion of any other chat model. ``gguf``: the model is one file of that kind.
    ``checkpoint``: the files are known to be those of transformers, which torch reads. ``fastest``
    is the engine that was measured to be the quickest with the file on this box's CPU. ``hears``:
    the engine whose own the files of a speech model are.
    """
    if engine in ENGINES and ENGINES[engine].files == "elsewhere":
        device = "cpu"  # its worker's; a device that is set for all models is not meant for it
    if engine == "auto" and task == "speech":
        engine = hears or _speech_engine(device, checkpoint, box)
    if engine == "auto" and task == "speak":
        engine = "hibari"
    if device == "auto":
        device = _best_device(engine, box)
    if engine == "auto":
        is_measured = fastest and gguf and (device, task) == ("cpu", "chat")
        engine = fastest if is_measured else _best_engine(device, task, converted, gguf, box)
    if not is_own(engine):
        _check(engine, device, task)
    return engine, device


def _speech_engine(device: str, checkpoint: bool, box: Box) -> str:
    """CTranslate2, unless that cannot use the GPU that is wanted or there, and torch can."""
    on_gpu = device.startswith("cuda") or (device == "auto" and box.cuda)
    return "torch" if on_gpu and checkpoint and not box.cublas12 else "ctranslate2"


def _best_device(engine: str, box: Box) -> str:
    if engine == "auto":
        engine = "torch"
    found = ENGINES.get(engine)
    able = found.devices if found else ("cpu", "cuda", "mps")
    if "cuda" in able and _can_use_cuda(found, box):
        return "cuda"
    return "mps" if box.mps and "mps" in able else "cpu"


def _can_use_cuda(engine: Descriptor | None, box: Box) -> bool:
    match engine.cuda_by if engine else "torch":
        case "onnxruntime":
            return box.onnxruntime
        case "torch and cublas12":
            return box.cuda and box.cublas12
        case _:
            return box.cuda


def _best_engine(device: str, task: Task, converted: bool, gguf: bool, box: Box) -> str:
    if device == "cpu" and box.machine in _X86 and (task in ("embed", "rerank") or converted):
        return "openvino"
    if device == "cpu" and task == "chat" and gguf:
        return "llama.cpp"
    return "torch"


def _check(engine: str, device: str, task: Task) -> None:
    if engine not in ENGINES:
        known = ", ".join(["auto", *(one.name for one in LISTED)])
        raise ConfigError(f"engine: {engine!r} is not one of {known}, nor a dotted path")
    found = ENGINES[engine]
    if task not in found.serves:
        able = " or ".join(one.name for one in LISTED if task in one.serves)
        raise ConfigError(f"engine: {engine} does not serve {task} models; use {able}")
    if device.split(":")[0] not in found.devices:
        able = " or ".join(sorted(found.devices))
        raise ConfigError(f"device: engine {engine} runs on {able}, not on {device}; set auto")
