"""What Moonshine hears in pieces of recordings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version

from faster_whisper.transcribe import get_compression_ratio

from worker.audio.cut import Piece
from worker.engines.moonshine.files import Files
from worker.engines.moonshine.search import Hypothesis, Search, States
from worker.engines.moonshine.tokens import Texts
from worker.hearing.model import HOTTER, Heard, Manner, Traits, Wanted

# Its authors' own bounds: of a second of English no more tokens, of other languages, whose letters
# take more of them, twice as many; and no more at all than the longest that it was trained on has,
# 30 s. Words may be said faster for a moment.
_TOKENS_A_SECOND, _MOST_TOKENS, _FEWEST_TOKENS = 6.5, 194, 6
# Pieces that a worker hears at once: one of four costs 0.74 of what it costs alone, of eight 0.71,
# and all come at once (processor time, 25 s of speech each).
_BATCH = 4


class Moonshine:
    """Each of its ``workers`` is a thread; all share one copy of the weights."""

    device = "cpu"
    # It reads nothing before it hears, and its graphs do not show where in the sound it looks.
    traits = Traits(
        lacks=frozenset({"prompt", "translation", "word times"}),
        finds_language=False,
        shares_pieces=False,
    )
    max_tokens: int | None = None

    def __init__(self, files: Files, languages: list[str], threads: int, slots: int) -> None:
        """Raises `LoadError`."""
        self.languages = languages
        self.workers = min(threads or os.cpu_count() or 1, slots)
        self._texts = Texts(files.tokens)
        self._search = Search(files)
        self.batch = _BATCH if self._search.takes_many else 1
        precision = files.encoder.stem.removeprefix("encoder_model").strip("_")
        self.detail = f"Moonshine, ONNX Runtime {version('onnxruntime')}" + (
            f", {precision}" if precision else ""
        )

    def hear(self, pieces: Sequence[Piece], manner: Manner, wanted: Wanted) -> list[Heard]:
        """What nobody waits for any more is not heard to its end."""
        # A row without sound takes no time, and keeps the places of the others.
        states = [
            self._search.encode(piece.samples if wanted(at) else piece.samples[:0])
            for at, piece in enumerate(pieces)
        ]
        most = [self._most_tokens(piece.seconds) for piece in pieces]
        tried = self._try(states, most, manner, manner.temperature or 0.0, wanted)
        if manner.temperature or manner.quick:
            return tried
        return [
            self._retried(states[at], most[at], manner, one, partial(_only, wanted, at))
            for at, one in enumerate(tried)
        ]

    def _try(
        self,
        states: Sequence[States],
        most: Sequence[int],
        manner: Manner,
        temperature: float,
        wanted: Wanted,
    ) -> list[Heard]:
        found = self._search.decode(states, most, temperature, wanted)
        return [
            self._heard(one, manner, temperature)._replace(is_unended=len(one.tokens) >= bound)
            for one, bound in zip(found, most, strict=True)
        ]

    def _retried(
        self, states: States, most: int, manner: Manner, first: Heard, wanted: Wanted
    ) -> Heard:
        """``first``, or the first at a higher temperature that is not doubtful, else the best."""
        tried = [first]
        for temperature in HOTTER:
            if not tried[-1].is_doubtful or not wanted(0):
                return tried[-1]
            tried += self._try([states], [most], manner, temperature, wanted)
        return tried[-1] if not tried[-1].is_doubtful else max(tried, key=lambda one: one.merit)

    def _most_tokens(self, seconds: float) -> int:
        a_second = _TOKENS_A_SECOND if self.languages == ["en"] else 2 * _TOKENS_A_SECOND
        return min(_MOST_TOKENS, _FEWEST_TOKENS + round(a_second * seconds))

    def _heard(self, found: Hypothesis, manner: Manner, temperature: float) -> Heard:
        text = self._texts.join(found.tokens)
        return Heard(
            language=manner.language,
            text=text,
            tokens=found.tokens,
            words=[],
            temperature=temperature,
            avg_logprob=found.logprob / (len(found.tokens) + 1),
            compression_ratio=float(get_compression_ratio(text.strip())),
            no_speech_prob=0.0,
        )


def _only(wanted: Wanted, at: int, _: int) -> bool:
    """Whether the piece is wanted that is now heard alone."""
    return wanted(at)
