"""How long work takes, by its size and by how much else is at work."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

# What a measurement weighs once the next one has come.
FADING = 0.9
# What is not known of a concurrency is taken from the nearest one: twice as many jobs at once take
# 1.4 times as long each, between an engine that shares its time among them and one with time left.
GROWTH = 0.5
# Up to which spread of sizes, in standard deviations over their mean, all count as of one size.
ALIKE = 0.1


@dataclass(slots=True)
class Line:
    """The straight line through sizes and seconds (least squares), where old ones fade. What every
    job takes, whatever its size, is its height at 0; neither that nor its slope is negative."""

    _count: float = 0.0
    _x: float = 0.0
    _y: float = 0.0
    _xx: float = 0.0
    _xy: float = 0.0
    _base: float = 0.0
    _slope: float = 0.0

    def learn(self, size: float, seconds: float) -> None:
        self._count = FADING * self._count + 1.0
        self._x = FADING * self._x + size
        self._y = FADING * self._y + seconds
        self._xx = FADING * self._xx + size * size
        self._xy = FADING * self._xy + size * seconds
        self._fit(self._x / self._count, self._y / self._count)

    def at(self, size: float) -> float:
        """The seconds of one of this size. Something has been learned before."""
        return self._base + self._slope * size

    def _fit(self, mean_x: float, mean_y: float) -> None:
        spread = self._xx / self._count - mean_x * mean_x
        alike = spread <= (ALIKE * mean_x) ** 2
        slope = 0.0 if alike else (self._xy / self._count - mean_x * mean_y) / spread
        if mean_x and (alike or mean_y < slope * mean_x):
            slope = mean_y / mean_x  # through zero
        self._slope = max(0.0, slope)
        self._base = mean_y - self._slope * mean_x


@dataclass(slots=True)
class Durations:
    """Lines by concurrency, in powers of two, for each kind of work."""

    _lines: dict[tuple[str, int], Line] = field(default_factory=dict)
    _nearest: dict[tuple[str, int], tuple[Line, float] | None] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether anything was measured."""
        return bool(self._lines)

    def learn(self, kind: str, size: float, seconds: float, beside: int) -> None:
        """One of this ``size`` took so long while ``beside`` were at work, itself included."""
        key = kind, _step(beside)
        if key not in self._lines:
            self._lines[key] = Line()
            self._nearest.clear()
        self._lines[key].learn(size, seconds)

    def expect(self, kind: str, size: float, beside: int) -> float | None:
        """How long it should take; None where nothing of its kind was ever measured."""
        key = kind, _step(beside)
        if key not in self._nearest:
            self._nearest[key] = self._find(*key)
        found = self._nearest[key]
        if found is None:
            return None
        line, factor = found
        return factor * line.at(size)

    def _find(self, kind: str, step: int) -> tuple[Line, float] | None:
        """The line of the nearest concurrency, and how many times as long it takes here."""
        known = [at for other, at in self._lines if other == kind]
        if not known:
            return None
        nearest = min(known, key=lambda at: abs(at - step))
        return self._lines[kind, nearest], float(2.0 ** (GROWTH * (step - nearest)))


def _step(beside: int) -> int:
    return round(math.log2(max(1, beside)))
