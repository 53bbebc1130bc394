"""Opens a model of onnx-asr's."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

import onnx_asr
import onnxruntime as ort

from ipc.option_checks import languages as listed
from worker.engine import LoadError
from worker.engines.common.onnx_session import session_options
from worker.engines.onnx_asr.files import Files
from worker.engines.onnx_asr.nemo import Canary, Nemo
from worker.engines.onnx_asr.recogniser import Recogniser
from worker.engines.onnx_asr.whisper import Whisper


def load(files: Files, languages: str | None, device: str, threads: int) -> Recogniser:
    """The model of ``files`` on ``device``, each of its graphs on ``threads`` threads (0: one a
    core). Raises `LoadError`."""
    known = listed(languages) if languages else []
    asr = _opened(files, device, threads)
    detail = (
        f"{files.export.kind}, {files.export.precision}, onnx-asr {version('onnx-asr')}, "
        f"ONNX Runtime {version('onnxruntime')}"
    )
    if files.export.kind.startswith("whisper"):
        return Whisper(asr, known, detail, tells=files.export.kind == "whisper")
    if files.export.kind == "nemo-conformer-aed":
        return Canary(asr, known, detail)
    return Nemo(asr, known, detail)


def _opened(files: Files, device: str, threads: int) -> Any:
    providers = _providers(device)
    on_one: Any = {"sess_options": session_options(1), "providers": ["CPUExecutionProvider"]}
    # Each sound by itself: Whisper's are scaled by the loudest moment of all.
    alone = {
        "max_concurrent_workers": max(2, threads or os.cpu_count() or 1),
        "use_numpy_preprocessors": True,
    }
    features: Any = {**on_one, **alone}
    try:
        return onnx_asr.load_model(
            files.export.kind,
            files.folder,
            quantization=files.export.quantization,
            sess_options=session_options(threads),
            providers=providers,
            preprocessor_config=features,
            resampler_config=on_one,
        ).asr
    except Exception as error:  # onnxruntime has many kinds, none of them public
        raise LoadError(f"{files.folder} cannot be loaded: {error}") from error


def _providers(device: str) -> list[Any]:
    """Those of ONNX Runtime for ``device``. What CUDA does not compute is left to the CPU."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return ["CPUExecutionProvider"]
    if kind != "cuda" or "CUDAExecutionProvider" not in ort.get_available_providers():
        raise LoadError(
            f"the ONNX Runtime that is installed cannot use {device}: replace the package "
            "onnxruntime with onnxruntime-gpu, or set device: cpu"
        )
    return [("CUDAExecutionProvider", {"device_id": int(index or 0)}), "CPUExecutionProvider"]
