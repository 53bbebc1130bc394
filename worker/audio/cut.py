"""A recording into pieces that a model hears at once, cut where nobody speaks. No model in here.

Whisper hears half a minute, so a piece is nearly that long: a shorter one costs its encoder as
much. The recording streams through; what is held is a piece and the silence before and behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from worker.audio.decode import SAMPLE_RATE_HZ, Samples

# What silero judges at once.
FRAME_SAMPLES = 512
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
# A piece is no longer than the first, though it may be as long as the silence in a voice that a
# request asks for. Where nobody speaks for a while it ends if it holds the second. In a voice that
# goes on it is cut behind the third.
LONGEST_S, FULL_S, SHORTEST_S = 28.0, 15.0, 14.0
# A pause of so long is as good a place for a cut as any longer one.
PAUSE_S = 0.4
# Without a pause, the quietest so long is cut in the middle: as a rule it lies between two words.
QUIET_S = 0.1
# faster-whisper's and silero's own: a voice ends below its threshold by so much.
HYSTERESIS = 0.15
# A click: shorter, and never surely a voice.
CLICK_S, SURELY = 0.1, 0.7


class Rules(NamedTuple):
    """What is a voice: how likely one must be, after how long a silence it ends, and what is kept
    around it. With ``voice_only`` off all is kept. A voice's end ends a piece of ``full_s``."""

    threshold: float = 0.5
    silence_s: float = 2.0
    pad_s: float = 0.4
    voice_only: bool = True
    full_s: float = FULL_S


class Frame(NamedTuple):
    """`FRAME_SAMPLES` of a recording, the last of one fewer: which it is, and how likely somebody
    speaks in it."""

    number: int
    voice: float
    samples: Samples


class Part(NamedTuple):
    """From ``start`` to ``end`` of the recording, in samples."""

    start: int
    end: int


class Voice(NamedTuple):
    """How sure it is that somebody speaks: at the most, and on average where it is likely at all,
    which is for so many seconds."""

    most: float = 1.0
    mean: float = 1.0
    seconds: float = LONGEST_S


class Piece(NamedTuple):
    """``parts`` of a recording in a row, and the ``silences`` in that row: start and end, in its
    seconds."""

    samples: Samples
    parts: list[Part]
    silences: list[tuple[float, float]]
    voice: Voice = Voice()

    @property
    def seconds(self) -> float:
        return self.samples.size / SAMPLE_RATE_HZ


class Cutter:
    """Takes a recording frame by frame, and brings its pieces."""

    def __init__(self, rules: Rules) -> None:
        self._threshold = rules.threshold
        self._silent = max(rules.threshold - HYSTERESIS, 0.01)
        self._ends_after = max(1, round(rules.silence_s / FRAME_S))
        self._pad = round(rules.pad_s / FRAME_S)
        self._voice_only = rules.voice_only
        self._full = rules.full_s / FRAME_S
        self._row: list[Frame] = []
        # Frames of silence: behind a voice as long as more of it may follow, else before one.
        self._aside: list[Frame] = []
        self._speaking = False
        self._began = 0  # where in the row the voice begins that is speaking

    def push(self, frames: Iterable[Frame]) -> Iterator[Piece]:
        """The pieces that are complete with ``frames``."""
        for frame in frames:
            if self._take(frame) and self._row and len(self._row) >= self._full:
                yield self._cut(len(self._row))
            yield from self._too_long()

    def close(self) -> Iterator[Piece]:
        """The last piece, where there is one."""
        if self._speaking:
            self._end()
        yield from self._too_long()
        if self._row:
            yield self._cut(len(self._row))

    def _too_long(self) -> Iterator[Piece]:
        while len(self._row) > LONGEST_S / FRAME_S:
            yield self._cut(place(self._row, self._silent))

    def _take(self, frame: Frame) -> bool:
        """Whether a voice has ended with it."""
        if not self._voice_only:
            self._row.append(frame)
        elif frame.voice >= self._threshold:
            if not self._speaking:
                self._began = len(self._row)
            self._row += [*self._aside, frame]
            self._aside, self._speaking = [], True
        elif not self._speaking:
            self._set_aside(frame)
        elif not self._aside and frame.voice >= self._silent:
            self._row.append(frame)
        else:
            self._aside.append(frame)
            if len(self._aside) >= self._ends_after:
                self._end()
                return True
        return False

    def _set_aside(self, *frames: Frame) -> None:
        """Of the silence before a voice so much is kept as is asked for."""
        self._aside += frames
        del self._aside[: max(0, len(self._aside) - self._pad)]

    def _end(self) -> None:
        behind, self._aside, self._speaking = self._aside, [], False
        voice = self._row[self._began :]
        sure = any(frame.voice >= SURELY for frame in voice)
        heard = sum(frame.voice >= self._threshold for frame in voice)
        if heard * FRAME_S < CLICK_S and not sure:
            del self._row[self._began :]
        else:
            self._row += behind[: self._pad]
            behind = behind[self._pad :]
        self._set_aside(*behind)

    def _cut(self, at: int) -> Piece:
        row, self._row = self._row[:at], self._row[at:]
        self._began = max(0, self._began - at)
        return piece_of(row, self._silent)


def place(row: list[Frame], silent: float) -> int:
    """How many frames of a ``row`` that is too long make the next piece.

    The last pause is taken that is as good as any, else the longest, else the quietest moment.
    """
    first, last = round(SHORTEST_S / FRAME_S), int(LONGEST_S / FRAME_S)
    runs = [run for run in _runs(row, silent) if first <= _middle(run, len(row)) <= last]
    joints = [at for at in range(first, last + 1) if row[at].number > row[at - 1].number + 1]
    pauses = [_middle(run, len(row)) for run in runs if (run[1] - run[0]) * FRAME_S >= PAUSE_S]
    if joints or pauses:
        return max(joints + pauses)
    if runs:
        return _middle(max(runs, key=lambda run: run[1] - run[0]), len(row))
    return first + _quietest([frame.samples for frame in row[first:last]])


def middle(piece: Piece) -> int:
    """Where to cut a piece in two, as a sample of it: in the longest silence of its inner half, in
    the middle where there is none."""
    inner_s = (piece.seconds / 4, 3 * piece.seconds / 4)
    pauses = [run for run in piece.silences if inner_s[0] < sum(run) / 2 < inner_s[1]]
    longest = max(pauses, key=lambda run: run[1] - run[0], default=(0.0, piece.seconds))
    return round(sum(longest) / 2 * SAMPLE_RATE_HZ)


def _middle(run: tuple[int, int], size: int) -> int:
    """Where to cut in a pause; one that goes on behind a row of ``size`` has no middle yet."""
    start, end = run
    return max(start, int(LONGEST_S / FRAME_S)) if end == size else (start + end) // 2


def _quietest(frames: list[Samples]) -> int:
    """The middle of the quietest `QUIET_S`."""
    power = np.array([np.dot(frame, frame) for frame in frames])
    width = round(QUIET_S / FRAME_S)
    return int(np.convolve(power, np.ones(width), "valid").argmin()) + (width + 1) // 2


def _runs(row: list[Frame], silent: float) -> Iterator[tuple[int, int]]:
    """Where nobody speaks, as frames from and to."""
    since: int | None = None
    for at, frame in enumerate(row):
        if frame.voice < silent:
            since = at if since is None else since
        elif since is not None:
            yield since, at
            since = None
    if since is not None:
        yield since, len(row)


def piece_of(row: list[Frame], silent: float) -> Piece:
    """The frames of ``row`` as one piece; below ``silent`` there is no voice in one."""
    joints = [
        at for at, (one, other) in enumerate(pairwise(row), 1) if other.number > one.number + 1
    ]
    parts = []
    for start, end in pairwise([0, *joints, len(row)]):
        last = row[end - 1]
        first_sample = row[start].number * FRAME_SAMPLES
        parts.append(Part(first_sample, last.number * FRAME_SAMPLES + last.samples.size))
    silences = [(start * FRAME_S, end * FRAME_S) for start, end in _runs(row, silent)]
    samples = np.concatenate([frame.samples for frame in row])
    return Piece(samples, parts, silences, _voice(row, silent))


def _voice(row: list[Frame], silent: float) -> Voice:
    likely = [frame.voice for frame in row if frame.voice >= silent]
    if not likely:
        return Voice(max(frame.voice for frame in row), 0.0, 0.0)
    return Voice(max(likely), sum(likely) / len(likely), len(likely) * FRAME_S)
