"""When a job that waits is handed over, and when it is done: jobs in their order, slots, credit."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capacity:
    """What all workers of a model take together: they work on ``slots`` jobs at once, and hold
    ``credit`` of them, the others of which wait for a slot there."""

    slots: int
    credit: int


@dataclass(frozen=True, slots=True)
class Turn:
    """In how many seconds a job is handed over, and in how many it is begun."""

    handed_over_s: float
    begun_s: float


def turn_of(
    begun_s: Sequence[float], next_s: Sequence[float], ahead_s: Sequence[float], capacity: Capacity
) -> Turn:
    """The turn of the job behind all of these. ``begun_s`` is what is left of the jobs at work,
    ``next_s`` what those take that a worker holds for its next free slot, ``ahead_s`` what those
    take that wait before it, in their order.

    A job is handed over when fewer than ``capacity.credit`` are held, and begun as the next one
    once a slot is free.
    """
    slots = max(1, capacity.slots)
    busy = [*begun_s, *[0.0] * (slots - len(begun_s))]
    heapq.heapify(busy)
    ends = list(begun_s)
    for seconds in (*next_s, *ahead_s):
        end_s = heapq.heappop(busy) + seconds
        heapq.heappush(busy, end_s)
        ends.append(end_s)
    ends.sort()
    too_many = len(begun_s) + len(next_s) + len(ahead_s) + 1 - max(1, capacity.credit)
    handed_over_s = ends[too_many - 1] if too_many > 0 else 0.0
    return Turn(handed_over_s, max(busy[0], handed_over_s))


def turn_behind_many(
    begun_s: Sequence[float],
    next_s: Sequence[float],
    ahead: int,
    mean_s: float,
    capacity: Capacity,
) -> Turn:
    """The same where ``ahead`` are too many to look at each: they take ``mean_s`` on average, and
    each whole round of all slots puts off what follows by that."""
    slots = max(1, capacity.slots)
    rounds = max(0, ahead - 2 * slots) // slots
    turn = turn_of(begun_s, next_s, [mean_s] * (ahead - rounds * slots), capacity)
    return Turn(turn.handed_over_s + rounds * mean_s, turn.begun_s + rounds * mean_s)
