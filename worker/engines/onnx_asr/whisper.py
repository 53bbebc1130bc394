"""Whisper as exported to ONNX, by optimum or by ONNX Runtime: greedy, and without times."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ipc.facts.languages import NAMES
from worker.audio.decode import SAMPLE_RATE_HZ
from worker.engines.common.log_sum import log_sum
from worker.engines.onnx_asr.recogniser import (
    Sounds,
    Token,
    Transcript,
    WrittenSteps,
    check_languages,
    own_copy,
    run,
)
from worker.hearing.model import WHISPERS_TOKENS, Ability, most_tokens

_LANGUAGE, _TASK, _PROMPT = 1, 2, 4  # where in the prompt, and how long that is


class Whisper:
    """``tells`` how likely its words are: what ONNX Runtime exports searches inside of the graph,
    and brings only tokens."""

    lacks: frozenset[Ability] = frozenset({"prompt", "temperature", "word times"})
    finds_language = True
    is_windowed = True

    def __init__(self, asr: Any, languages: list[str], detail: str, *, tells: bool) -> None:
        """Raises `LoadError`."""
        self.detail = detail
        self._asr = asr
        self._tells = tells
        self.languages = languages or [code for code in NAMES if f"<|{code}|>" in asr._tokens]
        check_languages(self.languages, asr)

    def hear(self, sounds: Sounds) -> list[Transcript]:
        own = own_copy(self._asr)
        if sounds.translate:
            own._transcribe_input = own._transcribe_input.copy()
            own._transcribe_input[:, _TASK] = own._tokens["<|translate|>"]
        steps = _Steps(self._asr, sounds, self.languages) if self._tells else None
        if steps is not None:
            own._decode = steps.decode
        decoded = run(own, sounds.samples, language=sounds.language)
        return [self._transcript(tokens, row, steps) for row, (tokens,) in enumerate(decoded)]

    def _transcript(
        self, tokens: npt.NDArray[np.int64], row: int, steps: _Steps | None
    ) -> Transcript:
        asr = self._asr
        numbers = [int(one) for one in tokens[_PROMPT:] if asr._vocab[int(one)][:2] != "<|"]
        logprob = float(steps.logprobs[row]) if steps else 0.0
        mean = logprob / (len(numbers) + 1)
        text = asr._decode_tokens(tokens).text.strip()
        return Transcript(
            tokens=[Token(number, asr._vocab[number], None, mean) for number in numbers],
            language=asr._vocab[int(tokens[_LANGUAGE])][2:-2],
            text=f" {text}" if text else "",
            logprob=logprob,
            no_speech=float(steps.no_speech[row]) if steps else 0.0,
            is_unended=row in steps.unended if steps else asr._eos_token_id not in tokens[_PROMPT:],
        )


class _Steps:
    """Stands in for the step that writes, and keeps how likely each row was."""

    def __init__(self, asr: Any, sounds: Sounds, languages: list[str]) -> None:
        rows = len(sounds.samples)
        self.logprobs = np.zeros(rows)
        self.no_speech = np.zeros(rows)
        self._asr = asr
        most = [
            min(WHISPERS_TOKENS, most_tokens(one.size / SAMPLE_RATE_HZ)) for one in sounds.samples
        ]
        self._write = WrittenSteps(asr._decode, _PROMPT, asr._eos_token_id, sounds, most)
        self._languages = [asr._tokens[f"<|{code}|>"] for code in languages]
        silent = asr._tokens.get("<|nospeech|>", asr._tokens.get("<|nocaptions|>"))
        self._silent: int | None = silent

    @property
    def unended(self) -> set[int]:
        return self._write.unended

    def decode(self, tokens: npt.NDArray[np.int64], *state: Any) -> tuple[Any, Any]:
        if tokens.shape[1] < _PROMPT:
            return self._find_language(tokens, *state)
        logits, following = self._write(tokens, *state)
        if tokens.shape[1] == _PROMPT and self._silent is not None:
            first = logits[:, 0]
            self.no_speech = np.exp(first[:, self._silent] - log_sum(first))
        last = logits[:, -1]
        ended = (tokens[:, _PROMPT:] == self._asr._eos_token_id).any(1)
        self.logprobs += np.where(ended, 0.0, last.max(-1) - log_sum(last))
        return logits, following

    def _find_language(self, tokens: npt.NDArray[np.int64], *state: Any) -> tuple[Any, Any]:
        """Only languages may follow the first token."""
        logits, following = self._asr._decode(tokens, *state)
        only = np.full_like(logits, -np.inf)
        only[..., self._languages] = logits[..., self._languages]
        return only, following
