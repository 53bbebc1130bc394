"""NVIDIA's Conformers and GigaAM: tokens with their times, or, of a Canary, words in a language."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ipc.messages.errors import InvalidRequest
from worker.audio.decode import SAMPLE_RATE_HZ
from worker.engines.onnx_asr.recogniser import (
    Sounds,
    Token,
    Transcript,
    WrittenSteps,
    check_languages,
    own_copy,
    run,
)
from worker.engines.onnx_asr.words import text_of
from worker.hearing.model import Ability, most_tokens

# More frames than any sound has.
_TO_THE_END = 1 << 30


class Nemo:
    """CTC, RNN-T and TDT: each token is said in a frame. They hear what language they are spoken
    to in, and do not tell."""

    lacks: frozenset[Ability] = frozenset({"prompt", "translation", "temperature"})
    finds_language = False
    is_windowed = False

    def __init__(self, asr: Any, languages: list[str], detail: str) -> None:
        self.languages = languages
        self.detail = detail
        self._asr = asr
        self._frame_s: float = asr.window_step * asr._subsampling_factor

    def hear(self, sounds: Sounds) -> list[Transcript]:
        own = own_copy(self._asr)
        if hasattr(own, "_create_state"):
            steps = _FrameSteps(self._asr, sounds)
            own._create_state, own._decode = steps.create_state, steps.decode
        return [
            _transcript(self._tokens(*decoded), sounds.language)
            for decoded in run(own, sounds.samples)
        ]

    def _tokens(
        self, numbers: Iterable[int], frames: Iterable[int], logprobs: Iterable[float]
    ) -> list[Token]:
        return [
            Token(int(number), self._asr._vocab[number], frame * self._frame_s, float(logprob))
            for number, frame, logprob in zip(numbers, frames, logprobs, strict=True)
        ]


class Canary:
    """Is told the language, and which to write: its own or English."""

    lacks: frozenset[Ability] = frozenset({"prompt", "temperature", "word times"})
    finds_language = False
    is_windowed = False

    def __init__(self, asr: Any, languages: list[str], detail: str) -> None:
        """Raises `LoadError`."""
        self.languages = languages or ["en"]
        self.detail = detail
        self._asr = asr
        self._prompt: int = asr._transcribe_input.shape[1]
        check_languages(self.languages, asr)

    def hear(self, sounds: Sounds) -> list[Transcript]:
        """Raises `InvalidRequest` for a translation from nobody knows which language."""
        if sounds.translate and sounds.language is None:
            raise InvalidRequest(
                "this model does not find out the language: send the one that is spoken to have "
                "it translated",
                param="language",
            )
        language = sounds.language or self.languages[0]
        target = "en" if sounds.translate else language
        own = own_copy(self._asr)
        end: int = self._asr._eos_token_id
        most = [most_tokens(one.size / SAMPLE_RATE_HZ) for one in sounds.samples]
        own._decode = steps = WrittenSteps(self._asr._decode, self._prompt, end, sounds, most)
        decoded = run(own, sounds.samples, language=language, target_language=target)
        found = [_transcript(self._tokens(*one), language) for one in decoded]
        return [one._replace(is_unended=row in steps.unended) for row, one in enumerate(found)]

    def _tokens(self, numbers: Iterable[int], _: None, logprobs: Iterable[float]) -> list[Token]:
        """Those that are text; of the others, which there are as a rule none of, the log
        probabilities are among them."""
        mean = float(np.mean([*logprobs] or [0.0]))
        return [Token(int(number), self._asr._vocab[number], None, mean) for number in numbers]


class _FrameSteps:
    """Stands in for a transducer's steps, which hear one sound after the other: none that nobody
    waits for is heard to its end."""

    def __init__(self, asr: Any, sounds: Sounds) -> None:
        self._asr = asr
        self._wanted = sounds.wanted
        self._row = -1
        self._blank = np.full(asr._vocab_size, -np.inf, np.float32)
        self._blank[asr._blank_idx] = 0.0

    def create_state(self) -> Any:
        """A sound begins."""
        self._row += 1
        return self._asr._create_state()

    def decode(self, before: list[int], state: Any, encoded: Any) -> tuple[Any, int, Any]:
        if self._wanted(self._row):
            found: tuple[Any, int, Any] = self._asr._decode(before, state, encoded)
            return found
        return self._blank, _TO_THE_END, state


def _transcript(tokens: list[Token], language: str | None) -> Transcript:
    return Transcript(
        tokens=tokens,
        language=language,
        text=text_of(tokens),
        logprob=sum(token.logprob for token in tokens),
    )
