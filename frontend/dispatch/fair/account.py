"""One client: the jobs of it that wait, and how much it has been served."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import NamedTuple

from frontend.dispatch.terms import MOST_PRIORITY
from frontend.dispatch.waiting import Ticket

# From the least priority to the greatest.
PRIORITIES = 2 * MOST_PRIORITY
# By how much of the time that a job may wait the greatest priority puts it before the least. One
# that has waited longer is passed by no later job of its client, so priority alone makes no job
# wait for longer than it may.
_HEAD_START = 0.5


class Place(NamedTuple):
    """A job's place among its client's. Those with the least ``since`` come first, then by
    ``number``, in the order in which they came. ``lent`` is by how much virtual time its precedence
    puts it before others' jobs."""

    since: float
    number: int
    lent: float
    ticket: Ticket


# When a job is served: in virtual time, and by its number. The least comes first.
Turn = tuple[float, int]


@dataclass(slots=True, eq=False)
class Account:
    """``starts_at`` is the virtual time at which its next job starts, ``mean_cost`` the average of
    its jobs', None until one has ended. ``entry`` is the number of its valid entry in the order."""

    name: str
    weight: float = 1.0
    starts_at: float = 0.0
    mean_cost: float | None = None
    size_bytes: int = 0
    entry: int = 0
    places: list[Place] = field(default_factory=list)

    def add(self, place: Place) -> None:
        insort(self.places, place)
        self.size_bytes += place.ticket.size_bytes

    def remove(self, place: Place) -> None:
        del self.places[bisect_left(self.places, place)]
        self.size_bytes -= place.ticket.size_bytes

    @property
    def turn(self) -> Turn:
        """The turn of its first job."""
        _, number, lent, _ = self.places[0]
        return self.starts_at - lent, number

    def turns(self, cost: float) -> list[Turn]:
        """The turn of each of its jobs if each costs as much. A job is never served before one
        that comes before it, so turns only grow."""
        found: list[Turn] = []
        at, step, latest = self.starts_at, cost / self.weight, (-math.inf, 0)
        for _, number, lent, _ in self.places:
            turn = (at - lent, number)
            if turn > latest:
                latest = turn
            found.append(latest)
            at += step
        return found

    def ahead_of(self, turn: Turn, cost: float) -> int:
        """How many of its jobs are served before that turn of another client."""
        at, step = self.starts_at, cost / self.weight
        for index, (_, number, lent, _) in enumerate(self.places):
            if (at - lent, number) > turn:
                return index
            at += step
        return len(self.places)


def since(ticket: Ticket) -> float:
    """When it would have come to wait as long with a priority of 0: a step of priority is worth a
    part of the time that it may wait."""
    return ticket.queued_at - ticket.terms.priority * ticket.max_wait_s * _HEAD_START / PRIORITIES
