"""Where the keys and values of each conversation lie: segments of one long line of token places.

Every answer gets a segment for its prompt and all that it may write, so none runs out of room
half way. When it is over its segment is kept: a prompt that begins as a kept or running one does
takes over what is already computed. The least recently used is given up when room is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from worker.chat.prefixes.shared import shared_tokens

# A shorter beginning is computed sooner than it is copied; chat templates alone share about this.
MIN_SHARED_TOKENS = 16


class Segment:
    """``size`` places from ``start``; the first hold the keys and values of ``tokens``."""

    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self.size = size
        self.tokens: list[int] = []
        self.in_use = True
        self.used_at = 0


class Allocation(NamedTuple):
    """A segment, and the ``shared`` tokens that are already computed from ``source`` on. They are
    to be copied to the segment's start before anything else is written anywhere."""

    segment: Segment
    source: int
    shared: int


class SegmentAllocator:
    """``capacity`` places. Sizes are rounded up to a multiple of ``unit``."""

    def __init__(self, capacity: int, unit: int = 1, *, share: bool = True) -> None:
        self.capacity = capacity // unit * unit
        self.unit = unit
        self._share = share
        self._segments: list[Segment] = []
        self._turns = 0

    def place(self, prompt: Sequence[int], size: int) -> Allocation | None:
        """A segment of ``size`` for an answer to ``prompt``, or None until others have ended.

        An empty ``prompt`` shares nothing. Its last token always remains to be computed, since
        the answer begins with what the model says after it.
        """
        size = -(-size // self.unit) * self.unit
        source, shared = self._longest(prompt)
        if source is not None and not source.in_use and 2 * shared >= len(source.tokens):
            # More is won than lost, so it is taken over; as a rule its conversation goes on.
            return self._take_over(source, shared, size)
        start = self._make_room(size, spared=source)
        if start is not None:
            return self._allocated(start, size, source, shared)
        if source is None or source.in_use:
            return None
        return self._take_over(source, shared, size)

    def release(self, segment: Segment, tokens: Sequence[int]) -> None:
        """End the use of ``segment``, which holds ``tokens``; with none it is free at once."""
        segment.in_use = False
        segment.tokens = list(tokens) if self._share else []
        segment.used_at = self._turn()
        if not segment.tokens:
            self._segments.remove(segment)

    def _longest(self, prompt: Sequence[int]) -> tuple[Segment | None, int]:
        """The segment that shares most of the beginning of ``prompt``, and how much."""
        if not self._share:
            return None, 0
        found = [(shared_tokens(one.tokens, prompt[:-1]), one) for one in self._segments]
        shared, source = max(found, key=lambda pair: pair[0], default=(0, None))
        return (source, shared) if shared >= MIN_SHARED_TOKENS else (None, 0)

    def _take_over(self, source: Segment, shared: int, size: int) -> Allocation | None:
        """Place a segment where the kept ``source`` is, or near, giving it up."""
        others = [one for one in self._segments if one is not source]
        if self._gap(size, (one for one in others if one.in_use)) is None:
            return None
        self._segments = others
        end = source.start + size
        clash = any(one.start < end and source.start < one.start + one.size for one in others)
        if clash or end > self.capacity:
            start = self._make_room(size)
            assert start is not None  # a gap was found, but for what is kept
        else:
            start = source.start
        return self._allocated(start, size, source, shared)

    def _make_room(self, size: int, spared: Segment | None = None) -> int | None:
        """Where ``size`` places are free, once as many kept segments are given up as it takes."""
        if self._gap(size, (one for one in self._segments if one.in_use or one is spared)) is None:
            return None
        kept = sorted(
            (one for one in self._segments if not one.in_use and one is not spared),
            key=lambda one: one.used_at,
        )
        while (start := self._gap(size, self._segments)) is None:
            self._segments.remove(kept.pop(0))
        return start

    def _gap(self, size: int, segments: Iterable[Segment]) -> int | None:
        at = 0
        for segment in sorted(segments, key=lambda one: one.start):
            if segment.start - at >= size:
                return at
            at = segment.start + segment.size
        return at if self.capacity - at >= size else None

    def _allocated(self, start: int, size: int, source: Segment | None, shared: int) -> Allocation:
        segment = Segment(start, size)
        self._segments.append(segment)
        if source is None:
            return Allocation(segment, start, 0)
        source.used_at = self._turn()
        segment.tokens = source.tokens[:shared]
        return Allocation(segment, source.start, shared)

    def _turn(self) -> int:
        self._turns += 1
        return self._turns
