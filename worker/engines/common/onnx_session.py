"""ONNX Runtime's sessions on a CPU that other models share."""

from __future__ import annotations

import os
from pathlib import Path

import onnxruntime as ort

from worker.engine import LoadError


def session_options(threads: int) -> ort.SessionOptions:
    """For ``threads`` threads (0: one a core)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    # Threads that wait by looking take the cores of the other models.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def open_session(file: Path, threads: int) -> ort.InferenceSession:
    """The graph in ``file``, on ``threads`` threads (0: one a core). Raises `LoadError`."""
    try:
        return ort.InferenceSession(
            str(file), session_options(threads), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has many kinds, none of them public
        raise LoadError(f"{file} cannot be loaded: {error}") from error
