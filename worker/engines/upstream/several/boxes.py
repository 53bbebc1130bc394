"""Which of several servers with the same model is asked next. No sockets and no clock in here.

A server that says when it would begin a request is taken by that. Such a figure is old as soon as
it comes, so what was asked of the server since is added, at the pace at which it has answered so
far. Where one of them does not say, the one with the fewest requests in hand is asked, and of
equals the one that was left alone for longest.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

# A figure that is older says nothing where the server was asked for something since. Else it holds
# until the server is asked again how it is, which is seldom while there is no work: who would have
# to load the model first is known all that time.
FRESH_S = 3.0
STILL_S = 15.0
# Beginnings that are no further apart are alike: a figure is no more exact.
ALIKE_S = 0.25
_NEVER_S = 1e9
# Times between one answer and the next are averaged over about so many.
_AVERAGED = 8


@dataclass(slots=True)
class _Box:
    in_hand: int = 0
    turn: int = 0  # when it was last asked, counted in requests
    away_since: float | None = None
    eta_s: float = 0.0
    told_at: float | None = None  # when it told ``eta_s``
    asked_since: int = 0  # it told that
    pace_s: float = 0.0  # from one of its answers to the next


class Boxes:
    """``count`` servers by their numbers, from 0 on. Times are those of one clock, in seconds."""

    def __init__(self, count: int) -> None:
        self._boxes = [_Box() for _ in range(count)]
        self._turn = 0

    def ask(self, now: float, tried: Collection[int] = ()) -> int | None:
        """The one that a request is sent to, which it has until `end`; none of ``tried``, and None
        where there is no other. One that is away is asked only if all of them are."""
        left = [at for at in range(len(self._boxes)) if at not in tried]
        present = [at for at in left if self._boxes[at].away_since is None]
        among = present or left
        if not among:
            return None
        knows = all(self._is_fresh(self._boxes[at], now) for at in among)
        at = min(among, key=lambda one: self._rank(self._boxes[one], knows=knows))
        box = self._boxes[at]
        self._turn += 1
        box.turn = self._turn
        box.in_hand += 1
        box.asked_since += 1
        return at

    def end(self, at: int, took_s: float | None = None) -> None:
        """A request that it had has ended, with an answer if it ``took_s``."""
        box = self._boxes[at]
        if took_s is not None:
            between_s = took_s / box.in_hand
            weight = 1 / _AVERAGED if box.pace_s else 1.0
            box.pace_s += weight * (between_s - box.pace_s)
        box.in_hand -= 1

    def leave(self, at: int, now: float) -> None:
        """It cannot be reached, or has broken off."""
        box = self._boxes[at]
        box.told_at = None
        box.away_since = now if box.away_since is None else box.away_since

    def tell(self, at: int, now: float, eta_s: float | None) -> None:
        """It is there, and would begin a request in so long; None where it does not say."""
        box = self._boxes[at]
        box.away_since = None
        box.asked_since = 0
        box.eta_s, box.told_at = (0.0, None) if eta_s is None else (max(0.0, eta_s), now)

    @property
    def away(self) -> list[int]:
        """Those that cannot be reached."""
        return [at for at, box in enumerate(self._boxes) if box.away_since is not None]

    @property
    def in_hand(self) -> int:
        """How many requests all of them have."""
        return sum(box.in_hand for box in self._boxes)

    @staticmethod
    def _is_fresh(box: _Box, now: float) -> bool:
        if box.told_at is None:
            return False
        return now - box.told_at <= (FRESH_S if box.asked_since else STILL_S)

    @staticmethod
    def _rank(box: _Box, *, knows: bool) -> tuple[float, int, int]:
        start_s = box.eta_s + box.asked_since * box.pace_s if knows else 0.0
        return min(start_s, _NEVER_S) // ALIKE_S, box.in_hand, box.turn
