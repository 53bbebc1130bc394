"""Models that read whole texts, by OpenVINO: from a checkpoint converted once, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from ipc.types import Spec
from worker.engine import LoadError, Stage
from worker.prepare import prepared, stamp

MODEL_FILE = "model.xml"
# To be raised when a conversion changes, so that earlier results are made anew.
_FORMAT = 1
# The precision is always named: by itself a CPU that has bfloat16 would compute in it.
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class Forward:
    """A converted model, compiled, from arrays to arrays.

    Computes in the option ``dtype``, float32 unless told otherwise. For all-MiniLM-L6-v2 on a CPU
    with AMX, bfloat16 was 1.3 times as fast; cosines to float32 stayed above 0.9999.
    """

    def __init__(self, spec: Spec) -> None:
        """Finds the device. Raises `LoadError`."""
        self._device = _device(spec.device)
        self._precision = _precision(spec)
        self._threads = spec.threads

    @property
    def device(self) -> str:
        return self._device.lower()

    def place(self, folder: Path) -> None:
        """Compile the model in ``folder`` for the device. Raises `LoadError`."""
        compiled = _compile(folder, self._device, self._precision, self._threads)
        self._request = compiled.create_infer_request()

    def __call__(self, arrays: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """The model's output for ``arrays``, in the order of its inputs."""
        # The inputs live until the call returns; the output is copied out of the request's memory.
        output: NDArray[np.float32] = self._request.infer(tuple(arrays), share_inputs=True)[0]
        return output

    def close(self) -> None:
        del self._request


def converted(spec: Spec, source: Path, convert: str, stage: Stage) -> Path:
    """The folder with the checkpoint ``source`` as an OpenVINO model, made by the function that
    ``convert`` names; converts it if need be. Raises `LoadError`."""
    key = f"{_FORMAT} openvino {version('openvino')} {stamp(source)}"
    return prepared(spec, stage, convert, key)


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
