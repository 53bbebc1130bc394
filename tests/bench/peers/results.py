"""What all rounds came to, in a file that a later run goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.bench.peers.sides import OURS


class Metric(NamedTuple):
    group: str
    unit: str


Measured = Mapping[Metric, float]


@dataclass
class Figure:
    """One row of a group, round by round: the value of every side that took part in the round."""

    group: str
    x: str
    unit: str
    rounds: list[dict[str, float]] = field(default_factory=list)

    @property
    def sides(self) -> list[str]:
        return list(dict.fromkeys(side for one in self.rounds for side in one))

    def of(self, side: str) -> list[float]:
        return [one[side] for one in self.rounds if side in one]

    def ratios(self, side: str) -> list[float]:
        """edge-serve over ``side`` in each round: what else the machine did then slowed both."""
        return [one[OURS] / one[side] for one in self.rounds if one.get(side)]


@dataclass
class _Saved:
    runs: list[dict[str, Any]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)


class Results:
    """All figures so far. With a ``file`` they begin with what it holds, and it gets each round as
    soon as that is done: a run that is cut off loses no more than one round."""

    def __init__(self, file: Path | None) -> None:
        """Raises `OSError`, and `ValueError` for a file that is not of this shape."""
        self._file = file
        self._saved = _Saved()
        if file is not None and file.exists():
            self._saved = msgspec.json.decode(file.read_bytes(), type=_Saved)

    @property
    def figures(self) -> list[Figure]:
        return self._saved.figures

    def begin(self, about: dict[str, Any]) -> None:
        """A run, with what a reader must know of it. Raises `OSError`."""
        self._saved.runs.append(about)
        self._save()

    def add(self, x: str, round_: Mapping[str, Measured]) -> None:
        """One round of the row ``x``: what each side came to. Raises `OSError`."""
        for metric in dict.fromkeys(metric for one in round_.values() for metric in one):
            values = {side: one[metric] for side, one in round_.items() if metric in one}
            self._figure(metric, x).rounds.append(values)
        self._save()

    def _figure(self, metric: Metric, x: str) -> Figure:
        for figure in self.figures:
            if (figure.group, figure.x, figure.unit) == (metric.group, x, metric.unit):
                return figure
        self.figures.append(Figure(metric.group, x, metric.unit))
        return self.figures[-1]

    def _save(self) -> None:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_bytes(msgspec.json.format(msgspec.json.encode(self._saved)))
