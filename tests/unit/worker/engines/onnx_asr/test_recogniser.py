"""Where the tokens of a sound end."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from worker.engines.onnx_asr.recogniser import Sounds, WrittenSteps

PROMPT, WORD, END = 7, 0, 2


def written(says: list[list[int]], most: list[int], left: int = -1) -> tuple[list[int], Any]:
    """What comes of rows that would say so, and the steps; nobody waits for the row ``left``."""
    rows = len(says)

    def step(_: npt.NDArray[np.int64], state: int) -> tuple[Any, int]:
        logits = np.zeros((rows, 1, 3), np.float32)
        for row, words in enumerate(says):
            logits[row, -1, words[state] if state < len(words) else WORD] = 1.0
        return logits, state + 1

    sounds = Sounds([np.zeros(1, np.float32)] * rows, "en", False, lambda row: row != left)
    steps = WrittenSteps(step, 1, END, sounds, most)
    tokens, state = np.full((rows, 1), PROMPT), 0
    for _ in range(10):
        logits, state = steps(tokens, state)
        tokens = np.hstack([tokens, logits[:, -1].argmax(-1)[:, np.newaxis]])
    return [row[1:].tolist().index(END) for row in tokens], steps


def test_a_row_has_as_many_tokens_as_it_may_have() -> None:
    lengths, steps = written([[WORD, END], [WORD] * 9, [WORD, WORD, WORD, END]], [3, 3, 5])
    assert lengths == [1, 3, 3]
    assert steps.unended == {1}


def test_one_that_ends_where_it_has_to_was_not_broken_off() -> None:
    lengths, steps = written([[WORD, WORD, WORD, END]], [4])
    assert lengths == [3]
    assert steps.unended == set()


def test_one_that_nobody_waits_for_ends() -> None:
    lengths, steps = written([[WORD] * 9, [WORD, END]], [5, 5], left=0)
    assert lengths == [0, 1]
    assert steps.unended == set()
