"""Code points as sets: sorted ranges that neither touch nor overlap, without surrogates."""

from __future__ import annotations

from collections.abc import Iterable

from ipc.grammar.rules import Characters

Ranges = tuple[tuple[int, int], ...]

LAST = 0x10FFFF
# Halves of UTF-16 pairs, which no text has.
_SURROGATES = (0xD800, 0xDFFF)


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The code points of any of ``ranges``."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(pair for whole in ranges for pair in _without_surrogates(*whole)):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def complement(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The code points of none of ``ranges``."""
    gaps, start = [], 0
    for first, last in union(ranges):
        gaps.append((start, first - 1))
        start = last + 1
    return union((first, last) for first, last in [*gaps, (start, LAST)] if first <= last)


def intersection(left: Ranges, right: Ranges) -> Ranges:
    """The code points of both."""
    return complement((*complement(left), *complement(right)))


def points_of(characters: Characters) -> Ranges:
    """What ``characters`` admits."""
    return complement(characters.ranges) if characters.negated else union(characters.ranges)


def _without_surrogates(first: int, last: int) -> list[tuple[int, int]]:
    low, high = _SURROGATES
    around = [(first, min(last, low - 1)), (max(first, high + 1), last)]
    return [pair for pair in around if pair[0] <= pair[1]]
