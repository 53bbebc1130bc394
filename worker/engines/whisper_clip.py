"""One clip's way from file to transcript, cut into steps."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.vad import VadOptions, get_speech_timestamps

from ipc.types import Delta, Done, Event, Segment, SpeechInput, SpeechResult, Usage, Word
from worker import media
from worker.engines.whisper_model import Model


class Clip:
    """A job's audio on its way. ``next`` brings an event or nothing yet, up to its `Done`.

    ``reading`` says that the next step decodes the file. That caps the memory of the whole process,
    so nothing else may run beside it.
    """

    def __init__(
        self,
        job_id: str,
        asked: SpeechInput,
        language: str | None,
        model: Model,
        *,
        voice_only: bool,
        max_audio_s: float,
    ) -> None:
        self.reading = True
        self._job_id = job_id
        self._asked = asked
        self._language = language
        self._model = model
        self._voice_only = voice_only
        self._max_audio_s = max_audio_s
        self._steps = self._work()

    def next(self) -> Event | None:
        """One step: 30 seconds of the file, the filter for voices, or one window of 30 seconds.

        Raises the `ServeError` that ends the job."""
        return next(self._steps)

    def close(self) -> None:
        self._steps.close()

    def _work(self) -> Generator[Event | None, None, None]:
        pieces = []
        for piece in media.pieces(self._asked.audio.data, self._max_audio_s):
            pieces.append(piece)
            yield None
        samples = np.concatenate(pieces)
        self.reading = False
        yield None
        voiced = self._voiced(samples)
        yield None
        yield from self._transcribe(samples, voiced)

    def _voiced(self, samples: media.Samples) -> list[dict[str, int]]:
        """Where there is a voice, as ``start`` and ``end`` samples: on silence and noise Whisper
        makes sentences up, so it is not asked about them."""
        if not self._voice_only:
            return [{"start": 0, "end": samples.size}]
        found: list[dict[str, int]] = get_speech_timestamps(samples, VadOptions())
        return found

    def _transcribe(
        self, samples: media.Samples, voiced: list[dict[str, int]]
    ) -> Iterator[Event | None]:
        duration_s = samples.size / media.SAMPLE_RATE_HZ
        text, segments, words = "", list[Segment](), list[Word]()
        if voiced:
            voice = np.concatenate([samples[part["start"] : part["end"]] for part in voiced])
            heard = self._model.hear(voice, self._asked, self._language)
            self._language = next(heard)
            yield None
            for one in restore_speech_timestamps(heard, voiced, media.SAMPLE_RATE_HZ):
                segments.append(_segment(one, len(segments), duration_s))
                words += _words(one, duration_s)
                piece = one.text if text else one.text.lstrip()
                text += piece
                yield Delta(self._job_id, piece, len(one.tokens))
        result = SpeechResult(
            text=text.rstrip(),
            language=self._language or "en",
            duration_s=duration_s,
            segments=segments,
            words=words if self._asked.word_times else None,
            usage=Usage(completion_tokens=sum(len(segment.tokens) for segment in segments)),
        )
        yield Done(self._job_id, result)


def _segment(heard: Any, number: int, end_s: float) -> Segment:
    """Whisper pads the last window to 30 seconds and may time text past the clip's end."""
    return Segment(
        id=number,
        seek=heard.seek,
        start=min(float(heard.start), end_s),
        end=min(float(heard.end), end_s),
        text=heard.text,
        tokens=list(heard.tokens),
        temperature=float(heard.temperature or 0.0),
        avg_logprob=float(heard.avg_logprob),
        compression_ratio=float(heard.compression_ratio),
        no_speech_prob=float(heard.no_speech_prob),
    )


def _words(heard: Any, end_s: float) -> list[Word]:
    return [
        Word(
            word.word.strip(),
            min(float(word.start), end_s),
            min(float(word.end), end_s),
            float(word.probability),
        )
        for word in heard.words or []
    ]
