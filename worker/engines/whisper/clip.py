"""One clip's way from file to transcript, cut into steps."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps

from ipc.messages.events import Delta, Done, Event, Segment, SpeechResult, Usage, Word
from ipc.messages.jobs import SpeechInput, Vad
from worker.audio import decode
from worker.engines.whisper.ctranslate2_model import Model
from worker.engines.whisper.times import PAD_S, VoicedTimes


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
        for piece in decode.pieces(self._asked.audio.data, self._max_audio_s):
            pieces.append(piece)
            yield None
        samples = np.concatenate(pieces)
        self.reading = False
        yield None
        voiced = self._voiced(samples)
        yield None
        yield from self._transcribe(samples, voiced)

    def _voiced(self, samples: decode.Samples) -> list[dict[str, int]]:
        """Where there is a voice, as ``start`` and ``end`` samples: on silence and noise Whisper
        makes sentences up, so it is not asked about them."""
        asked = self._asked.vad
        if not self._voice_only and asked is None:
            return [{"start": 0, "end": samples.size}]
        found: list[dict[str, int]] = get_speech_timestamps(samples, vad_options(asked or Vad()))
        return found

    def _transcribe(
        self, samples: decode.Samples, voiced: list[dict[str, int]]
    ) -> Iterator[Event | None]:
        duration_s = samples.size / decode.SAMPLE_RATE_HZ
        text, segments, words = "", list[Segment](), list[Word]()
        if voiced:
            pad_s = vad_options(self._asked.vad or Vad()).speech_pad_ms / 1000
            times = VoicedTimes(voiced, samples.size, pad_s)
            voice = np.concatenate([samples[part["start"] : part["end"]] for part in voiced])
            heard = self._hear(voice, times)
            self._language = next(heard)
            yield None
            for one in heard:
                cues = self._cues(one, times)
                segments += [
                    _segment(one, cue, len(segments) + at, duration_s)
                    for at, cue in enumerate(cues)
                ]
                words += [_word(word, times, duration_s) for word in one.words or []]
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

    def _hear(self, voice: decode.Samples, times: VoicedTimes) -> Iterator[Any]:
        """The language, then segments, with times of words where these are needed."""
        word_times = self._asked.word_times or times.has_long_silence
        return self._model.hear(voice, self._asked, self._language, word_times=word_times)

    def _cues(self, heard: Any, times: VoicedTimes) -> list[Cue]:
        """What is shown of a segment at once."""
        if not heard.words:
            start, end = times.segment(float(heard.start), float(heard.end))
            return [Cue(start, end, heard.text, list(heard.tokens))]
        groups = list(times.cues(heard.words))
        texts = ["".join(word.word for word in group) for group in groups]
        if len(groups) == 1:
            texts = [heard.text]
        shares = self._model.share_tokens(list(heard.tokens), texts)
        return [
            Cue(
                times.word(group[0].start, group[0].end)[0],
                times.word(group[-1].start, group[-1].end)[1],
                text,
                tokens,
            )
            for group, text, tokens in zip(groups, texts, shares, strict=True)
        ]


class Cue(NamedTuple):
    """A segment, or the part of one before or after a long silence; times in the clip."""

    start: float
    end: float
    text: str
    tokens: list[int]


def vad_options(asked: Vad) -> VadOptions:
    """faster-whisper's, where nothing else is asked for, but for the padding."""
    found = VadOptions(speech_pad_ms=round(PAD_S * 1000))
    if asked.threshold is not None:
        found.threshold = asked.threshold
    if asked.silence_ms is not None:
        found.min_silence_duration_ms = asked.silence_ms
    if asked.padding_ms is not None:
        found.speech_pad_ms = asked.padding_ms
    return found


def _segment(heard: Any, cue: Cue, number: int, end_s: float) -> Segment:
    """Whisper pads the last window to 30 seconds and may time text past the clip's end."""
    return Segment(
        id=number,
        seek=heard.seek,
        start=min(cue.start, end_s),
        end=min(cue.end, end_s),
        text=cue.text,
        tokens=cue.tokens,
        temperature=float(heard.temperature or 0.0),
        avg_logprob=float(heard.avg_logprob),
        compression_ratio=float(heard.compression_ratio),
        no_speech_prob=float(heard.no_speech_prob),
    )


def _word(word: Any, times: VoicedTimes, end_s: float) -> Word:
    start, end = times.word(float(word.start), float(word.end))
    return Word(word.word.strip(), min(start, end_s), min(end, end_s), float(word.probability))
