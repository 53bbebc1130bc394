"""What the real decisions cost: how many there were of each kind, and their processor time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from time import thread_time
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

# One of so many is measured, of each kind: to look at the clock can take as long as a decision.
ONE_OF = 16


def _look_s() -> float:
    """What a look at the clock takes."""
    looks = []
    for _ in range(101):
        began_at = thread_time()
        looks.append(thread_time() - began_at)
    return median(looks)


@dataclass(slots=True)
class Meter:
    """Owns the counts. ``route``: which box is asked; ``eta``: when a box would begin; ``queue``:
    what a model's queue does about a request, an event or a state; ``residency``: who is loaded and
    who leaves."""

    counts: dict[str, int] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)
    _measured: dict[str, int] = field(default_factory=dict)
    _look_s: float = field(default_factory=_look_s)

    def __call__(
        self, kind: str, decide: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """What ``decide`` returns, counted."""
        count = self.counts.get(kind, 0)
        self.counts[kind] = count + 1
        if count % ONE_OF:
            return decide(*args, **kwargs)
        began_at = thread_time()
        try:
            return decide(*args, **kwargs)
        finally:
            took_s = thread_time() - began_at - self._look_s
            self._seconds[kind] = self._seconds.get(kind, 0.0) + max(0.0, took_s)
            self._measured[kind] = self._measured.get(kind, 0) + 1

    @property
    def per_second(self) -> float:
        """How many decisions of all kinds are taken in a second of processor time."""
        each_us = self.each_us()
        seconds = sum(1e-6 * each_us[kind] * count for kind, count in self.counts.items())
        return sum(self.counts.values()) / max(1e-9, seconds)

    def each_us(self) -> dict[str, float]:
        """Microseconds of one decision, by kind."""
        return {kind: 1e6 * self._seconds[kind] / count for kind, count in self._measured.items()}
