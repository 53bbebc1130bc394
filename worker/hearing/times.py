"""From the times of a piece, whose parts are heard in a row, to those of the recording."""

from __future__ import annotations

from collections.abc import Sequence

from worker.audio.cut import Part
from worker.audio.decode import SAMPLE_RATE_HZ


class PieceTimes:
    """``parts`` are in the order in which they are heard."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    @property
    def whole(self) -> tuple[float, float]:
        """The start and the end of all that is heard."""
        return _seconds(self._parts[0].start), _seconds(self._parts[-1].end)

    def word(self, start: float, end: float) -> tuple[float, float]:
        """The start and the end in the recording of a word, which is said in one part. An
        alignment may be off by a little at a joint, or run past the end of what was heard."""
        middle = (start + end) / 2
        row = 0.0
        for part in self._parts:
            seconds = _seconds(part.end - part.start)
            if middle < row + seconds or part is self._parts[-1]:
                break
            row += seconds
        first, last = _seconds(part.start), _seconds(part.end)
        shift = first - row
        return _within(start + shift, first, last), _within(end + shift, first, last)


def _within(at: float, first: float, last: float) -> float:
    return round(float(min(max(at, first), last)), 2)


def _seconds(samples: int) -> float:
    return samples / SAMPLE_RATE_HZ
