"""Kokoro's graph: phonemes by their numbers, and a style, to samples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from worker.audio.decode import Samples
from worker.engine import LoadError
from worker.engines.kokoro.files import STYLES, Style

_TOKENS = ("input_ids", "tokens")  # each of its two publishers has another name for them
_SPEEDS = {"tensor(float)": np.float32, "tensor(int32)": np.int32}


class Model:
    """A session on ``threads`` threads (0: one a core). Raises `LoadError`."""

    def __init__(self, file: Path, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        # Threads that wait by looking take the cores of the other models.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has many kinds, none of them public
            raise LoadError(f"{file} cannot be loaded: {error}") from error
        inputs = {each.name: each.type for each in self._session.get_inputs()}
        tokens = [name for name in _TOKENS if name in inputs]
        if not tokens or not {"style", "speed"} <= inputs.keys() or inputs["speed"] not in _SPEEDS:
            raise LoadError(f"{file} is not Kokoro's: it takes {', '.join(inputs)}")
        self._tokens = tokens[0]
        self._speed = np.ones(1, _SPEEDS[inputs["speed"]])

    def say(self, ids: Sequence[int], style: Style) -> Samples:
        """``ids`` are at most `STYLES`, in the style of so many."""
        fed: dict[str, Any] = {
            self._tokens: np.array([[0, *ids, 0]], np.int64),
            "style": style[min(len(ids), STYLES) - 1],
            "speed": self._speed,
        }
        samples: Samples = np.asarray(self._session.run(None, fed)[0], np.float32).reshape(-1)
        return samples
