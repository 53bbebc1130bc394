"""Kokoro's graph: phonemes by their numbers, and a style, to samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from worker.audio.decode import Samples
from worker.engine import LoadError
from worker.engines.common.onnx_session import open_session
from worker.engines.kokoro.files import STYLES, Style

_TOKENS = ("input_ids", "tokens")  # each of its two publishers has another name for them
_SPEEDS = {"tensor(float)": np.float32, "tensor(int32)": np.int32}


class Model:
    """A session on ``threads`` threads (0: one a core). Raises `LoadError`."""

    def __init__(self, file: Path, threads: int) -> None:
        self._session = open_session(file, threads)
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
