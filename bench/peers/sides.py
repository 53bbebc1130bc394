"""edge-serve and its peers as the measurements see them: something that is asked over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bench.box import Box
from bench.peers.known import Files
from bench.peers.servers import Running

Asked = TypeVar("Asked")
OURS = "edge-serve"


@dataclass(frozen=True)
class Side:
    """One that answers ``path`` on ``port`` for ``model``."""

    name: str
    port: int
    path: str
    model: str
    cpu_s: Callable[[], float]


def ours(box: Box, path: str, model: str) -> Side:
    return Side(OURS, box.port, path, model, box.cpu_s)


def theirs(one: Running, files: Files) -> Side:
    peer = one.peer
    return Side(peer.name, one.port, peer.path, peer.model(files), one.cpu_s)


def in_turn(sides: Sequence[Asked], number: int) -> list[Asked]:
    """All sides, beginning with another in each round, so that nobody always follows the same."""
    start = number % len(sides)
    return [*sides[start:], *sides[:start]]


@dataclass
class Figure:
    """One figure of every side, a value for each round; a side that was too slow has none."""

    group: str
    x: str
    unit: str
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, side: str, value: float) -> None:
        self.values.setdefault(side, []).append(value)
