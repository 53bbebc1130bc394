"""What all of onnx-asr's models have in common: sounds in, what was heard of each out.

The library decodes a batch from beginning to end. Where somebody leaves in between, and how much
may be written of a sound, is said by standing in for a step of its decoding, on a copy of the model
that is this call's own. So it is its private parts that are used here, of a version that is bounded
in pyproject.toml; tests/contract/speech/test_onnx_asr.py names them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from worker.audio.decode import Samples
from worker.engine import LoadError
from worker.hearing.model import Ability, Wanted

# Features want so much sound at least; a shorter one is heard with silence behind it.
_FEWEST_SAMPLES = 4_000


class Token(NamedTuple):
    """``text`` begins with a space where a word does. ``start_s`` is when it is said, in seconds
    of the sound; None where the model does not tell."""

    number: int
    text: str
    start_s: float | None
    logprob: float


class Sounds(NamedTuple):
    """Sounds of a batch, of which ``wanted`` tells which somebody still waits for, and what is
    asked of all of them."""

    samples: Sequence[Samples]
    language: str | None
    translate: bool
    wanted: Wanted


class Transcript(NamedTuple):
    """``logprob`` is the sum over the tokens and, where the model writes one, their end. What
    ``is_unended`` had as many tokens as it may have."""

    tokens: list[Token]
    language: str | None
    text: str
    logprob: float
    no_speech: float = 0.0
    is_unended: bool = False


class Recogniser(Protocol):
    """A model. What it ``lacks`` of what requests may ask for, and whether it ``finds_language``.
    ``is_windowed``: a sound costs the same however short it is."""

    languages: list[str]
    lacks: frozenset[Ability]
    finds_language: bool
    is_windowed: bool
    detail: str

    def hear(self, sounds: Sounds) -> list[Transcript]:
        """Of what is no longer wanted it does not matter what is heard."""
        ...


def check_languages(codes: Sequence[str], asr: Any) -> None:
    """Raises `LoadError` where a model that is told its language in tokens has none for a code."""
    if unknown := [code for code in codes if f"<|{code}|>" not in asr._tokens]:
        raise LoadError(f"options.languages: the vocabulary has no {unknown[0]}; leave it out")


def own_copy(asr: Any) -> Any:
    """onnx-asr's model, of which steps may be replaced, over the same graphs. It gives what it has
    decoded as it is, which the library makes texts of."""
    own = copy.copy(asr)
    own._decode_tokens = lambda *decoded: decoded
    return own


def run(asr: Any, samples: Sequence[Samples], **asked: Any) -> list[Any]:
    """What ``asr`` has decoded of each sound."""
    lengths = np.array([max(one.size, _FEWEST_SAMPLES) for one in samples])
    padded = np.zeros((len(samples), lengths.max()), np.float32)
    for row, one in enumerate(samples):
        padded[row, : one.size] = one
    return list(asr.recognize_batch(padded, lengths, need_logprobs=True, **asked))


class WrittenSteps:
    """Stands in for the step that writes the next token of every row. A row ends where it has
    ended before, where nobody waits for it, and after as many tokens as it may have.

    ``prompt`` is how many tokens stand before the first that is written, and ``end`` the last.
    Those that were broken off are in ``unended``.
    """

    def __init__(self, step: Any, prompt: int, end: int, sounds: Sounds, most: list[int]) -> None:
        self._step = step
        self._prompt = prompt
        self._end = end
        self._wanted = sounds.wanted
        self._most = most
        self.unended: set[int] = set()

    def __call__(self, tokens: npt.NDArray[np.int64], *state: Any) -> tuple[Any, Any]:
        logits, following = self._step(tokens, *state)
        logits = np.array(logits)
        written = tokens[:, self._prompt :]
        for row in range(len(tokens)):
            if self._has_ended(written[row], row):
                logits[row, -1] = -np.inf
                logits[row, -1, self._end] = 0.0
        return logits, following

    def _has_ended(self, written: npt.NDArray[np.int64], row: int) -> bool:
        if self._end in written:
            return True
        if len(written) >= self._most[row]:
            self.unended.add(row)
            return True
        return not self._wanted(row)
