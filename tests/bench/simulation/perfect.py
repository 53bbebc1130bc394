"""What the same requests would have waited in the best queue that could be."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from tests.bench.simulation.client import Answer


def perfect_waits(answers: Sequence[Answer], places: Sequence[int]) -> list[float]:
    """Seconds of each request, in the order in which they came, if all boxes of a model had it
    loaded at all times, none ever failed, and one queue were in front of all of its ``places``, by
    the model's rank. Each takes as long to work on as it did."""
    free_at: dict[int, list[float]] = {}
    waits = []
    for sent_at, rank, _, work_s in sorted(answers):
        free = free_at.setdefault(rank, [0.0] * places[rank])
        begun_at = max(sent_at, free[0])
        heapq.heapreplace(free, begun_at + work_s)
        waits.append(begun_at - sent_at)
    return waits
