"""Models that read whole texts, by OpenVINO: from a checkpoint converted once, without torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import openvino
from numpy.typing import NDArray

from ipc.engine_options import Precision
from ipc.messages.spec import Spec
from worker.conversion import form_of, prepared, stamp
from worker.engine import LoadError, Stage
from worker.engines.common.openvino_cpu import computed_in, on_cpu
from worker.engines.encoders.embed import TextEmbedding
from worker.engines.encoders.encoder import Array, Place, TextModel
from worker.engines.encoders.rerank import PairScoring
from worker.microbatch import MicroBatch

MODEL_FILE = "model.xml"
_CONVERT = "worker.engines.encoders.openvino_convert"


class _Files(Protocol):
    """Any checkpoint: all that matters here is where its files are."""

    @property
    def folder(self) -> Path: ...


class OpenvinoEncoder:
    """An `Encoder`: a model made by ``convert`` of `worker.engines.encoders.openvino_convert`.

    The same conversion serves every precision, so choosing another converts nothing anew.
    """

    def __init__(self, convert: str) -> None:
        self._convert = f"{_CONVERT}:{convert}"

    def load(self, spec: Spec, checkpoint: _Files, precision: Precision, stage: Stage) -> Place:
        device = _device(spec.device)
        chosen = computed_in(precision, device)
        folder = self.converted(spec, checkpoint, stage)
        stage("compiling")
        compiled = _compile(folder, device, chosen, spec.threads)
        self._request = compiled.create_infer_request()
        return Place(device.lower(), chosen)

    def __call__(self, arrays: Sequence[Array]) -> NDArray[np.float32]:
        # The inputs live until the call returns; the output is copied out of the request's memory.
        output: NDArray[np.float32] = self._request.infer(tuple(arrays), share_inputs=True)[0]
        return output

    def close(self) -> None:
        del self._request

    def converted(self, spec: Spec, checkpoint: _Files, stage: Stage) -> Path:
        """The folder with the converted model; converts it if need be. Raises `LoadError`."""
        key = f"{form_of(spec)} openvino {version('openvino')} {stamp(checkpoint.folder)}"
        return prepared(spec, stage, self._convert, key)


class OpenvinoText(MicroBatch):
    """The engine of a task on OpenVINO."""

    def __init__(self, task: type[TextModel[Any, Any, Any]], convert: str) -> None:
        self._task = task
        self._encoder = OpenvinoEncoder(convert)
        super().__init__(task(self._encoder))

    def prepare(self, spec: Spec, stage: Stage) -> None:
        """Convert the checkpoint now, so that a worker need not. Raises `LoadError`."""
        self._encoder.converted(spec, self._task.read(spec.path), stage)


class OpenvinoEmbed(OpenvinoText):
    """The engine of embedding models on OpenVINO."""

    def __init__(self) -> None:
        super().__init__(TextEmbedding, "convert")


class OpenvinoRerank(OpenvinoText):
    """The engine of reranking models on OpenVINO."""

    def __init__(self) -> None:
        super().__init__(PairScoring, "convert_pairs")


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


def _compile(folder: Path, device: str, computed_in: str, threads: int) -> openvino.CompiledModel:
    core = openvino.Core()
    # Kept beside the model, so that a later conversion removes both; a service may not write there.
    # OpenVINO checks what it finds and compiles anew when it is damaged, but takes a model compiled
    # for another precision for its own.
    if os.access(folder, os.W_OK):
        core.set_property({"CACHE_DIR": str(folder / f"compiled-{computed_in}")})
    settings: dict[str, str | int] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": computed_in,
    }
    if device == "CPU":
        settings |= on_cpu(threads)
    try:
        return core.compile_model(folder / MODEL_FILE, device, settings)
    except RuntimeError as error:
        reason = f"OpenVINO cannot compile {folder / MODEL_FILE} for {device}: {error}"
        raise LoadError(reason, permanent=False) from error
