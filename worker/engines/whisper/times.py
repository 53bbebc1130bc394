"""From the times of the voiced parts of a clip, which are transcribed in a row, to the clip's own.

faster-whisper's own way back leaves a cue on the screen through the silence behind it: a time at
the joint of two parts may be the end of the one or the start of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

from worker.audio.decode import SAMPLE_RATE_HZ

# Over a longer silence than this no cue may stay: the words on its two sides become two.
LONG_SILENCE_S = 3.0
# The filter for voices keeps `PAD_S` before and behind a voice, so that Whisper hears it begin and
# end. A cue that would cover all of that covers so much.
PAD_S = 0.4
_SHOWN_PAD_S = 0.2
# Whisper's times of a segment are right to about so much, so what reaches less far into a part is
# not of it.
_SLACK_S = 0.3


class Timed(Protocol):
    """A word of faster-whisper's."""

    start: float
    end: float


T = TypeVar("T", bound=Timed)


class Part(NamedTuple):
    """A voiced part: from ``start`` to ``end`` seconds of the row, ``shift`` earlier in it than in
    the clip. Nothing is shown for its first ``lead`` seconds or its last ``tail``."""

    start: float
    end: float
    shift: float
    lead: float
    tail: float

    def clip_time(self, row_time: float) -> float:
        """``row_time`` in the clip, as if it lay in this part."""
        first, last = self.start + self.lead, self.end - self.tail
        return round(float(min(max(row_time, first), last) + self.shift), 2)

    def overlap_s(self, start: float, end: float) -> float:
        return min(end, self.end) - max(start, self.start)


class VoicedTimes:
    """``voiced`` are the parts as the filter for voices gives them: ``start`` and ``end``, in
    samples of a clip of ``size`` samples; it pads them by ``pad_s``, but at the clip's own ends."""

    def __init__(self, voiced: Sequence[dict[str, int]], size: int, pad_s: float = PAD_S) -> None:
        self._parts: list[Part] = []
        row = 0
        for each in voiced:
            start, end = each["start"], each["end"]
            self._parts.append(
                Part(
                    start=row / SAMPLE_RATE_HZ,
                    end=(row + end - start) / SAMPLE_RATE_HZ,
                    shift=(start - row) / SAMPLE_RATE_HZ,
                    lead=_hidden_s(pad_s if start > 0 else 0.0),
                    tail=_hidden_s(pad_s if end < size else 0.0),
                )
            )
            row += end - start

    @property
    def has_long_silence(self) -> bool:
        """Whether somewhere the words of one segment may have to become two cues."""
        shifts = [part.shift for part in self._parts]
        return any(after - before > LONG_SILENCE_S for before, after in pairwise(shifts))

    def segment(self, start: float, end: float) -> tuple[float, float]:
        """The start and end in the clip of a segment whose words have no times."""
        least_s = min(_SLACK_S, (end - start) / 2)
        inside = [part for part in self._parts if part.overlap_s(start, end) >= least_s]
        inside = inside or [self._nearest((start + end) / 2)]
        return inside[0].clip_time(start), inside[-1].clip_time(end)

    def word(self, start: float, end: float) -> tuple[float, float]:
        """The start and end in the clip of a word, which is said in one part."""
        part = self._nearest((start + end) / 2)
        return part.clip_time(start), part.clip_time(end)

    def cues(self, words: Sequence[T]) -> Iterator[list[T]]:
        """A segment's ``words``, cut where a long silence lies between two."""
        cue: list[T] = []
        for word in words:
            if cue and self._silence_s(cue[-1], word) > LONG_SILENCE_S:
                yield cue
                cue = []
            cue.append(word)
        if cue:
            yield cue

    def _silence_s(self, before: Timed, after: Timed) -> float:
        """How much was left out between two words."""
        first, second = (self._nearest((word.start + word.end) / 2) for word in (before, after))
        return second.shift - first.shift

    def _nearest(self, row_time: float) -> Part:
        return next((part for part in self._parts if row_time < part.end), self._parts[-1])


def _hidden_s(pad_s: float) -> float:
    return max(0.0, pad_s - _SHOWN_PAD_S)
