"""Whether a step of several tokens writes what steps of one token do, so that some may be guessed.

OpenVINO rounds inputs of products to 8 bits where that is quicker, which for some products it finds
from three rows on only: then logits are others (SmolLM2-135M: by 1.0; Qwen2.5-Coder of 0.5B and
1.5B: not by a bit). And keys of 8 bits have a scale for a block of tokens, which wrong guesses
change too; so they are kept in 16 bits beside guesses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from worker.engines.openvino_chat.logits import read

# Of a pipeline that guesses.
PROPERTIES: Mapping[str, str | int] = {"prompt_lookup": True, "KV_CACHE_PRECISION": "f16"}
# How many are guessed, by what followed when so many tokens were last the same. A step of eight
# tokens takes 1.2 to 1.7 times as long as one of a single token.
GUESSED_TOKENS, SAME_TOKENS = 7, 3
# A step, and a prompt: of its logits come those of the first token.
_READ = 64
_COUNTS = (1 + GUESSED_TOKENS, _READ)
_GIVEN = 32
_NEAR = 0.02


def reads_alike(folder: Path, properties: Mapping[str, str | int], tokens: Sequence[int]) -> bool:
    """Whether the model in ``folder`` finds the same, however many tokens it reads at a time: tried
    on the first 96 of ``tokens``, which must be that many."""
    settings = {**properties, "KV_CACHE_PRECISION": PROPERTIES["KV_CACHE_PRECISION"]}
    compiled = openvino.Core().compile_model(folder / "openvino_model.xml", "CPU", settings)
    asked = compiled.create_infer_request()
    alone = _logits(asked, tokens, 1)
    return all(np.abs(_logits(asked, tokens, count) - alone).max() <= _NEAR for count in _COUNTS)


def _logits(asked: openvino.InferRequest, tokens: Sequence[int], count: int) -> NDArray[np.float32]:
    """Of shape [64, vocabulary]: of ``tokens`` read ``count`` at a time, behind some given ones."""
    asked.reset_state()
    read(asked, tokens[:_GIVEN])
    places = range(_GIVEN, _GIVEN + _READ, count)
    return np.concatenate([read(asked, tokens[at : at + count], at) for at in places])
