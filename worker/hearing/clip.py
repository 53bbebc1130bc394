"""A recording's way from file to transcript, in pieces that are heard in any order."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ipc.messages.events import (
    Consumed,
    Delta,
    Done,
    Event,
    Listened,
    Segment,
    SpeechResult,
    Usage,
    Word,
)
from ipc.messages.jobs import More, SpeechInput, Vad
from worker.audio import decode
from worker.audio.arriving import arriving
from worker.audio.cut import Cutter, Piece, Rules
from worker.hearing.guards import guarded
from worker.hearing.model import Heard, Manner, Traits
from worker.hearing.pace import ListeningPace
from worker.hearing.times import PieceTimes
from worker.hearing.voice import VoiceFinder
from worker.hearing.words import Said, cues

# Decoded sound as it is kept until it is cut: 16 bits, as it came out of the resampler.
Sound = npt.NDArray[np.int16]
_FULL_SCALE = np.float32(32768)


class Numbered(NamedTuple):
    """A piece, and which of its recording it is."""

    number: int
    piece: Piece


class Clip:
    """A job's recording. It is read and then cut, each as far as somebody is about to hear it; what
    is heard goes out in its order. One whose input is streamed is read as far as it has come.

    Memory: the file if it came as a whole, else what of it waits; what has been read and not cut,
    so many pieces as are waiting, and the transcript.
    """

    def __init__(
        self,
        job_id: str,
        asked: SpeechInput,
        language: str | None,
        traits: Traits,
        *,
        voice_only: bool,
        max_audio_s: float,
    ) -> None:
        self.job_id = job_id
        self.is_closed = False
        self.waiting: deque[Numbered] = deque()
        self.uncut: deque[Sound] = deque()
        self.is_read = self.is_cut = False
        self._asked = asked
        self._language = language
        self._file = arriving(asked.audio.data, max_audio_s, whole=not asked.streamed)
        self._inbox: deque[More] = deque()
        self._voice = VoiceFinder()
        self._traits = traits
        cutting = rules(asked.vad, traits, voice_only=voice_only)
        self._voice_only = cutting.voice_only
        self._cutter = Cutter(cutting)
        self._read_samples = 0
        self._pace: ListeningPace | None = None
        self._cut = self._shown = self._in_hand = 0
        self._shown_s = 0.0
        self._heard: dict[int, tuple[Piece, Heard]] = {}  # ahead of their turn
        self._text = ""
        self._segments: list[Segment] = []
        self._words: list[Word] = []
        self._tokens = 0
        self._dropped: Counter[str] = Counter()

    @property
    def manner(self) -> Manner:
        asked = self._asked
        return Manner(
            language=self._language,
            translate=asked.translate,
            prompt=asked.prompt,
            temperature=asked.temperature,
            times=asked.word_times or asked.segment_times,
        )

    @property
    def is_ready(self) -> bool:
        """Whether a piece may be taken. Where the first in which somebody speaks tells the language
        of all, the others wait for it."""
        return bool(self.waiting) and not (self.needs_language and self._in_hand)

    @property
    def needs_language(self) -> bool:
        """Whether its next piece is to tell the language of all."""
        return self._language is None and self._traits.finds_language

    @property
    def lacks_sound(self) -> bool:
        """Whether there is nothing to hear before more of the file is read, of which enough is
        there that others should wait for it."""
        lacks = not self.waiting and not self.uncut and not self.is_read
        return lacks and self._file.has_plenty

    @property
    def can_be_read(self) -> bool:
        """Whether some of the file is there that has not been read."""
        return not self.is_read and self._file.is_due

    @property
    def is_starving(self) -> bool:
        """Whether it can only wait for more of its file to come."""
        takes_in = bool(self._inbox) and self._file.wants
        has_work = self.waiting or self.can_be_cut or self.can_be_read or takes_in
        return not self.is_cut and not has_work

    def come(self, more: More) -> None:
        """A piece of its file."""
        self._inbox.append(more)

    def take_in(self) -> list[Event]:
        """Add to the file what has come of it, as much as may wait there. Raises `Unavailable`
        where that is on a disk, which is full."""
        used = 0
        while self._inbox and self._file.wants:
            more = self._inbox.popleft()
            self._file.add(more.data.data, last=more.last)
            used = more.number + 1
        return [Consumed(self.job_id, used)] if used else []

    def read(self) -> None:
        """Half a minute of the file, if so much has come. Raises the `ServeError` that ends the
        job."""
        samples = self._file.read()
        if samples is None:
            self.is_read = True
        elif samples.size:
            self._read_samples += samples.size
            self.uncut.append(_kept(samples))

    def cut(self) -> None:
        """What has been read next, or the rest once all has been."""
        if self.uncut:
            found = list(self._cutter.push(self._voice.push(_heard_again(self.uncut.popleft()))))
        else:
            found = [*self._cutter.push(self._voice.close()), *self._cutter.close()]
            self.is_cut = True
        self.waiting += (Numbered(self._cut + at, piece) for at, piece in enumerate(found))
        self._cut += len(found)

    @property
    def can_be_cut(self) -> bool:
        return bool(self.uncut) or (self.is_read and not self.is_cut)

    def take(self) -> Numbered:
        self._in_hand += 1
        self._pace = self._pace or ListeningPace(self.job_id, time.monotonic())
        return self.waiting.popleft()

    def heard(self, numbered: Numbered, heard: Heard) -> list[Event]:
        """What goes out now that a piece has been heard."""
        self._in_hand -= 1
        heard = self._guarded(numbered.piece, heard)
        if heard.text.strip():  # of a noise a language is found, too
            self._language = heard.language
        self._heard[numbered.number] = numbered.piece, heard
        events: list[Event] = []
        for piece, found in self._in_order():
            events += self._show(piece, found)
            self._shown_s = PieceTimes(piece.parts).whole[1]
        return events

    def end(self) -> Done | None:
        """The transcript, once all has been heard."""
        if not self.is_cut or self._shown < self._cut:
            return None
        result = SpeechResult(
            text=self._text.rstrip(),
            language=self._language or ("en" if self._traits.finds_language else ""),
            duration_s=self._duration_s,
            segments=self._segments,
            words=self._words if self._asked.word_times else None,
            usage=Usage(completion_tokens=self._tokens),
            dropped=dict(self._dropped),
        )
        return Done(self.job_id, result)

    def progress(self) -> list[Listened]:
        """How far it is heard, if that is to be told now. Asked once all pieces that were heard
        together are in: of the first of them alone the others would seem to be ahead yet."""
        assert self._pace is not None
        audio_s = self._duration_s if self.is_read else self._file.announced_s
        return self._pace.told(self._shown_s, audio_s, time.monotonic())

    def close(self) -> None:
        self.is_closed = True
        self._file.close()
        self._inbox.clear()
        self.waiting.clear()
        self.uncut.clear()

    @property
    def _duration_s(self) -> float:
        return self._read_samples / decode.SAMPLE_RATE_HZ

    def _in_order(self) -> Iterator[tuple[Piece, Heard]]:
        while (found := self._heard.pop(self._shown, None)) is not None:
            self._shown += 1
            yield found

    def _guarded(self, piece: Piece, heard: Heard) -> Heard:
        left, rule = guarded(heard, piece, voice_only=self._voice_only)
        if rule is not None:
            self._dropped[rule] += 1
        return left

    def _show(self, piece: Piece, heard: Heard) -> list[Event]:
        if not heard.text.strip():
            return []
        times = PieceTimes(piece.parts)
        for cue in _cues(heard, piece, times):
            self._segments.append(_segment(heard, cue, len(self._segments), times))
        self._words += [
            Word(word.text.strip(), *times.word(word.start, word.end), word.probability)
            for word in heard.words
        ]
        text = heard.text if self._text else heard.text.lstrip()
        self._text += text
        self._tokens += len(heard.tokens)
        return [Delta(self.job_id, text, len(heard.tokens))]


class _Cue(NamedTuple):
    """What is shown at once; times in the recording."""

    start: float
    end: float
    text: str
    tokens: list[int]


def _kept(samples: decode.Samples) -> Sound:
    return (samples * _FULL_SCALE).astype(np.int16)


def _heard_again(sound: Sound) -> decode.Samples:
    return sound.astype(np.float32) / _FULL_SCALE


def rules(asked: Vad | None, traits: Traits, *, voice_only: bool) -> Rules:
    """What a request asks for is looked for, whatever the model's entry says."""
    found = Rules(voice_only=voice_only or asked is not None)
    if not traits.shares_pieces:
        found = found._replace(full_s=0.0)
    if asked is None:
        return found
    if asked.threshold is not None:
        found = found._replace(threshold=asked.threshold)
    if asked.silence_ms is not None:
        found = found._replace(silence_s=asked.silence_ms / 1000)
    if asked.padding_ms is not None:
        found = found._replace(pad_s=asked.padding_ms / 1000)
    return found


def _cues(heard: Heard, piece: Piece, times: PieceTimes) -> Iterator[_Cue]:
    """A piece whose words have no times is one cue."""
    if not heard.words:
        yield _Cue(*_spoken(piece, times), heard.text, heard.tokens)
        return
    in_clip = [_placed(word, times) for word in heard.words]
    for cue in cues(in_clip):
        tokens = [token for word in cue for token in word.tokens]
        yield _Cue(cue[0].start, cue[-1].end, "".join(word.text for word in cue), tokens)


def _spoken(piece: Piece, times: PieceTimes) -> tuple[float, float]:
    """The whole piece, but for the silence before and behind what is said."""
    start, end = times.whole
    for since, until in piece.silences:
        if since == 0.0:
            start += until
        elif until >= piece.seconds:
            end -= piece.seconds - since
    return round(start, 2), round(end, 2)


def _placed(word: Said, times: PieceTimes) -> Said:
    start, end = times.word(word.start, word.end)
    return word._replace(start=start, end=end)


def _segment(heard: Heard, cue: _Cue, number: int, times: PieceTimes) -> Segment:
    return Segment(
        id=number,
        seek=round(times.whole[0] * 100),
        start=cue.start,
        end=cue.end,
        text=cue.text,
        tokens=cue.tokens,
        temperature=heard.temperature,
        avg_logprob=heard.avg_logprob,
        compression_ratio=heard.compression_ratio,
        no_speech_prob=heard.no_speech_prob,
    )
