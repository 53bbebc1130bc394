"""Embeddings by OpenVINO, from a checkpoint converted once. Serving needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import openvino

from ipc.types import Loaded, Spec
from worker.engine import LoadError, Stage
from worker.engines.embed import TextEmbedding, Tokens, Vector
from worker.engines.sentence import Checkpoint, read_checkpoint
from worker.microbatch import MicroBatch
from worker.prepare import prepared, stamp

MODEL_FILE = "model.xml"
_CONVERT = "worker.engines.openvino_convert:convert"
# To be raised when the conversion changes, so that earlier results are made anew.
_FORMAT = 1
# The precision is always named: by itself a CPU that has bfloat16 would compute in it.
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenvinoSentence(TextEmbedding):
    """A `Batched` model. Computes in the option ``dtype``, float32 unless told otherwise.

    For all-MiniLM-L6-v2 on a CPU with AMX, bfloat16 was 1.3 times as fast; cosines to float32
    stayed above 0.9999.
    """

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        device = _device(spec.device)
        precision = _precision(spec)
        stage("tokenizer")
        checkpoint = read_checkpoint(spec.path)
        self.open(spec, checkpoint)
        folder = converted(spec, checkpoint, stage)
        stage("compiling")
        self._request = _compile(folder, device, precision, spec.threads).create_infer_request()
        return self.loaded(device.lower())

    def run(self, items: Sequence[Tokens]) -> list[Vector]:
        # The inputs live until the call returns; the output is copied out of the request's memory.
        return list(self._request.infer(self.pad(items), share_inputs=True)[0])

    def close(self) -> None:
        del self._request


class OpenvinoEmbed(MicroBatch):
    """The engine of embedding models on OpenVINO."""

    def __init__(self) -> None:
        super().__init__(OpenvinoSentence())

    def prepare(self, spec: Spec, stage: Stage) -> None:
        """Convert the checkpoint now, so that a worker need not. Raises `LoadError`."""
        converted(spec, read_checkpoint(spec.path), stage)


def converted(spec: Spec, checkpoint: Checkpoint, stage: Stage) -> Path:
    """The folder with the checkpoint as an OpenVINO model; converts it if need be."""
    key = f"{_FORMAT} openvino {version('openvino')} {stamp(checkpoint.folder)}"
    return prepared(spec, stage, _CONVERT, key)


def _device(name: str) -> str:
    """OpenVINO's name of the device. Raises `LoadError` rather than fall back to another."""
    available = openvino.Core().available_devices
    device = name.upper().replace(":", ".")
    if device.partition(".")[0] not in ("CPU", "GPU", "NPU"):
        raise LoadError(f"device {name!r} is not one of cpu, gpu, npu; for cuda use engine torch")
    if device not in (*available, *(one.partition(".")[0] for one in available)):
        reason = f"device {name} is not there: OpenVINO sees {', '.join(available)}"
        raise LoadError(reason, permanent=False)
    return device


def _precision(spec: Spec) -> str:
    name = str(spec.options.get("dtype", "float32"))
    if name not in _PRECISIONS:
        raise LoadError(f"option dtype={name!r} is not one of {', '.join(_PRECISIONS)}")
    return _PRECISIONS[name]


def _compile(folder: Path, device: str, precision: str, threads: int) -> openvino.CompiledModel:
    core = openvino.Core()
    # Kept beside the model, so that a later conversion removes both. OpenVINO checks what it finds
    # there and compiles anew when it is damaged.
    core.set_property({"CACHE_DIR": str(folder / "compiled")})
    settings: dict[str, str | int] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    if threads and device == "CPU":
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        return core.compile_model(folder / MODEL_FILE, device, settings)
    except RuntimeError as error:
        reason = f"OpenVINO cannot compile {folder / MODEL_FILE} for {device}: {error}"
        raise LoadError(reason, permanent=False) from error
