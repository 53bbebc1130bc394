"""What a model computes of tokens, asked by itself and without a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray


def read(
    asked: openvino.InferRequest, tokens: Sequence[int], first: int = 0
) -> NDArray[np.float32]:
    """Of shape [tokens, vocabulary]: what the model finds of the token after each of ``tokens``, so
    many of which it has read before as ``first`` says."""
    end = first + len(tokens)
    asked.infer(
        {
            "input_ids": np.array([tokens], dtype=np.int64),
            "attention_mask": np.ones((1, end), dtype=np.int64),
            "position_ids": np.arange(first, end, dtype=np.int64)[None],
            "beam_idx": np.zeros(1, dtype=np.int32),
        }
    )
    found: Any = asked.get_tensor("logits").data[0]
    return np.array(found, dtype=np.float32)
