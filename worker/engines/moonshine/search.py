"""Moonshine's two graphs: from samples to states, and from states to tokens, several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from worker.audio.decode import Samples
from worker.engine import LoadError
from worker.engines.common.log_sum import log_sum
from worker.engines.common.onnx_session import open_session
from worker.engines.moonshine.files import Files
from worker.engines.moonshine.tokens import END, START

States = npt.NDArray[np.float32]  # positions, width
# One position is made of so many samples, 24 ms.
_FRAME_SAMPLES = 384
# The three convolutions before the first position want more than this.
_FEWEST_SAMPLES = 1_600
_MASK = "encoder_attention_mask"


class Hypothesis(NamedTuple):
    """``logprob`` is the sum over ``tokens`` and, where it came, their end."""

    tokens: list[int]
    logprob: float


class Search:
    """Runs on as many threads as call it at once, each on that alone: the products are small, and
    threads that share one wait for each other."""

    def __init__(self, files: Files) -> None:
        """Raises `LoadError`."""
        self._encoder = open_session(files.encoder, 1)
        self._decoder = open_session(files.decoder, 1)
        inputs = {each.name: each.shape for each in self._decoder.get_inputs()}
        self._past = {
            name: (shape[1], shape[3]) for name, shape in inputs.items() if "past_key" in name
        }
        if not self._past or "encoder_hidden_states" not in inputs:
            raise LoadError(f"{files.decoder} is not Moonshine's: it takes {', '.join(inputs)}")
        # Without a mask states of another length would be heard as silence.
        self.takes_many = _MASK in inputs
        self._takes_mask = "attention_mask" in {each.name for each in self._encoder.get_inputs()}
        self._outputs = [each.name for each in self._decoder.get_outputs()]

    def encode(self, samples: Samples) -> States:
        """What was heard in 16 kHz ``samples``, by itself: the first layer is normalised over all
        of the sound, so padding would change it."""
        padded = np.pad(samples, (0, max(0, _FEWEST_SAMPLES - samples.size)))[np.newaxis]
        fed: dict[str, Any] = {"input_values": padded.astype(np.float32, copy=False)}
        if self._takes_mask:
            fed["attention_mask"] = np.ones(padded.shape, np.int64)
        states: States = self._encoder.run(None, fed)[0][0]
        return states

    def decode(
        self,
        several: Sequence[States],
        most: Sequence[int],
        temperature: float,
        wanted: Callable[[int], bool],
    ) -> list[Hypothesis]:
        """The tokens of each of ``several`` states, at most ``most`` of each: the likeliest, or at
        a ``temperature`` above 0 as they are drawn. What is not ``wanted`` ends where it is."""
        fed = self._start(several)
        tokens: list[list[int]] = [[] for _ in several]
        logprobs = np.zeros(len(several))
        open_rows = np.ones(len(several), bool)
        while open_rows.any():
            logits = self._step(fed)
            chosen = _chosen(logits, temperature)
            gained = logits[np.arange(len(several)), chosen] - log_sum(logits)
            logprobs += np.where(open_rows, gained, 0.0)
            for row in np.flatnonzero(open_rows).tolist():
                if chosen[row] != END:
                    tokens[row].append(int(chosen[row]))
                ended = chosen[row] == END or len(tokens[row]) >= most[row]
                open_rows[row] = not ended and wanted(row)
            fed["input_ids"] = np.where(open_rows, chosen, END)[:, np.newaxis]
        return [Hypothesis(*each) for each in zip(tokens, logprobs.tolist(), strict=True)]

    def _start(self, several: Sequence[States]) -> dict[str, Any]:
        rows, positions = len(several), max(len(states) for states in several)
        padded = np.zeros((rows, positions, several[0].shape[1]), np.float32)
        for row, states in enumerate(several):
            padded[row, : len(states)] = states
        fed: dict[str, Any] = {
            name: np.zeros((rows, heads, 0, size), np.float32)
            for name, (heads, size) in self._past.items()
        }
        if self.takes_many:
            # It is one of samples, of which the graph takes each first of a position.
            lengths = np.array([[len(states)] for states in several]) * _FRAME_SAMPLES
            fed[_MASK] = (np.arange(positions * _FRAME_SAMPLES) < lengths).astype(np.int64)
        return fed | {
            "encoder_hidden_states": padded,
            "input_ids": np.full((rows, 1), START, np.int64),
            "use_cache_branch": np.array([False]),
        }

    def _step(self, fed: dict[str, Any]) -> npt.NDArray[np.float32]:
        """The logits of the next token of each row. Keys and values are kept in ``fed``; those of
        what was heard are computed by the first step alone."""
        is_first = not fed["use_cache_branch"][0]
        logits, *present = self._decoder.run(self._outputs, fed)
        for name, value in zip(self._outputs[1:], present, strict=True):
            if is_first or ".encoder." not in name:
                fed[name.replace("present", "past_key_values")] = value
        fed["use_cache_branch"] = np.array([True])
        last: npt.NDArray[np.float32] = logits[:, -1]
        return last


def _chosen(logits: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.int64]:
    if temperature > 0:
        # The greatest after noise of Gumbel's is a draw by the softmax.
        noise = np.random.default_rng().gumbel(size=logits.shape).astype(np.float32)
        logits = logits / np.float32(temperature) + noise
    chosen: npt.NDArray[np.int64] = logits.argmax(-1)
    return chosen
