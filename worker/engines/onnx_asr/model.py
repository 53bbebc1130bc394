"""What onnx-asr's models hear in pieces of recordings."""

from __future__ import annotations

import os
from collections.abc import Sequence

from faster_whisper.transcribe import get_compression_ratio

from worker.audio.cut import Piece
from worker.engines.onnx_asr.recogniser import Recogniser, Sounds, Transcript
from worker.engines.onnx_asr.words import aligned
from worker.hearing.model import Heard, Manner, Traits, Wanted
from worker.hearing.words import said

# Pieces that a worker hears at once. A window of Whisper's takes 0.4 GB while it is heard, even in
# whisper-tiny: its exports keep the attention of all positions to all.
_BATCH, _WINDOWS = 4, 1


class OnnxAsr:
    """Each of its ``workers`` is a thread; all share one copy of the weights. It is greedy, so
    nothing is tried again."""

    max_tokens: int | None = None

    def __init__(self, recogniser: Recogniser, device: str, threads: int, slots: int) -> None:
        self._recogniser = recogniser
        self.device = device
        self.languages = recogniser.languages
        self.detail = recogniser.detail
        self.batch = _WINDOWS if recogniser.is_windowed else _BATCH
        self.workers = min(threads or os.cpu_count() or 1, slots)
        self.traits = Traits(
            lacks=recogniser.lacks,
            finds_language=recogniser.finds_language,
            shares_pieces=recogniser.is_windowed,
        )

    def hear(self, pieces: Sequence[Piece], manner: Manner, wanted: Wanted) -> list[Heard]:
        """What nobody waits for any more is not heard to its end, or at all."""
        rows = [at for at in range(len(pieces)) if wanted(at)]
        found = {}
        if rows:
            sounds = Sounds(
                samples=[pieces[at].samples for at in rows],
                language=manner.language,
                translate=manner.translate,
                wanted=lambda row: wanted(rows[row]),
            )
            found = dict(zip(rows, self._recogniser.hear(sounds), strict=True))
        nothing = Transcript([], manner.language, "", 0.0)
        return [
            self._heard(found.get(at, nothing), piece, manner) for at, piece in enumerate(pieces)
        ]

    def _heard(self, found: Transcript, piece: Piece, manner: Manner) -> Heard:
        times = manner.times and "word times" not in self._recogniser.lacks
        return Heard(
            language=found.language,
            text=found.text,
            tokens=[token.number for token in found.tokens],
            words=said(aligned(found.tokens, piece.seconds), piece.silences) if times else [],
            temperature=0.0,
            avg_logprob=found.logprob / (len(found.tokens) + 1),
            compression_ratio=float(get_compression_ratio(found.text.strip())),
            no_speech_prob=found.no_speech,
            is_unended=found.is_unended,
        )
