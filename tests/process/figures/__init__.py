"""The figures of docs/reliability.md: what is measured, what it was promised to be, and how often.

A figure is taken by a function that gets a maker of boxes and returns values in the figure's unit:
seconds for ``ms`` and ``s``. `ALL` fills up as the modules beside this one are imported.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from tests.process.box import MakeBox

Take = Callable[[MakeBox], Iterable[float]]
T = TypeVar("T")
MIB = 1 << 20
# Times are printed in milliseconds where all of them are below this.
_SHORT_S = 2.0
_FORMATS = {"time": "", "MiB": "{:.1f} MiB", "%": "{:.1f} %", "count": "{:.0f}"}


@dataclass(frozen=True)
class Figure:
    """``cases`` are the numbers in docs/reliability.md, ``bound`` is what the worst value promised
    to stay under. One of ``once`` is taken a single time, since it takes long or is many values."""

    cases: str
    what: str
    take: Take
    bound: float | None
    unit: str
    once: bool


ALL: list[Figure] = []


def figure(
    cases: str, what: str, bound: float | None = None, unit: str = "time", *, once: bool = False
) -> Callable[[Take], Take]:
    """Add what the decorated function takes to `ALL`."""

    def add(take: Take) -> Take:
        ALL.append(Figure(cases, what, take, bound, unit, once))
        return take

    return add


def timed(act: Callable[[], T]) -> tuple[T, float]:
    """What ``act`` returns, and the seconds that it took."""
    began_at = time.monotonic()
    result = act()
    return result, time.monotonic() - began_at


def row(one: Figure, values: list[float]) -> str:
    """A line of the table, with an alarm where a promise was broken."""
    middle, worst = statistics.median(values), max(values)
    shown = [_shown(one, value, worst) for value in (middle, worst)]
    bound = "" if one.bound is None else _shown(one, one.bound, one.bound)
    alarm = " BROKEN" if is_broken(one, values) else ""
    return f"| {one.cases} | {one.what} | {' | '.join(shown)} | {len(values)} | {bound}{alarm} |"


def is_broken(one: Figure, values: list[float]) -> bool:
    return one.bound is not None and max(values) > one.bound


def p99(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def _shown(one: Figure, value: float, worst: float) -> str:
    if one.unit != "time":
        return _FORMATS[one.unit].format(value)
    return f"{1000 * value:.0f} ms" if worst < _SHORT_S else f"{value:.1f} s"
