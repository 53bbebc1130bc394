"""What rounds come to: medians, quantiles and ratios of pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of ``values`` that at least ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class Row:
    """One figure: a value of each round, and the bare engine's of the same round if it has one."""

    name: str
    unit: str
    ours: list[float]
    bare: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """edge-serve over bare, pair by pair: what else the machine did then has slowed both."""
        if not self.bare:
            return []
        return [ours / bare for ours, bare in zip(self.ours, self.bare, strict=True)]

    def report(self) -> dict[str, Any]:
        """The row as JSON has it."""
        sides = {"edge_serve": self.ours, "bare": self.bare, "ratio": self.ratios}
        return {
            "name": self.name,
            "unit": self.unit,
            **{side: _summary(values) for side, values in sides.items() if values},
        }


def _summary(values: list[float]) -> dict[str, Any]:
    return {"median": median(values), "min": min(values), "max": max(values), "rounds": values}


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table; each cell is the median, with the least and the greatest."""
    lines = [
        "| figure | unit | edge-serve | bare engine | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = (_cell(values) for values in (row.ours, row.bare, row.ratios))
        lines.append(f"| {row.name} | {row.unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return short(values[0])
    return f"**{short(median(values))}** ({short(min(values))} to {short(max(values))})"


def short(value: float) -> str:
    """Three digits that count, and no exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
