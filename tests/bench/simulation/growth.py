"""How what a decision takes grows: with boxes, and with models on as many boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import msgspec

from tests.bench.simulation.report import Report, report_of
from tests.bench.simulation.run import World, simulate

NODES = (10, 30, 100, 300, 1000)
MODELS = (100, 300, 1000, 3000, 10_000)
# Of each box as many requests a second on average, however many boxes there are.
PER_NODE_S = 0.05
MODELS_A_NODE = 10
# Boxes for the models whose number grows, with as many requests in all.
FEW_NODES = 10
FEW_PER_S = 1.0


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Simulations that differ in ``axis``, a field of `World`, alone, or in what goes with it."""

    axis: str
    runs: list[Report]

    def each_us(self, kind: str) -> list[tuple[float, float]]:
        """What a decision of the kind took, by how many there were of ``axis``."""
        return [(float(each.world[self.axis]), each.each_us[kind]) for each in self.runs]

    def slope(self, kind: str) -> float:
        """By which power a decision's cost grows; 0: not at all, 1: in proportion."""
        return slope_of(self.each_us(kind))


def slope_of(points: Iterable[tuple[float, float]]) -> float:
    """That of the straight line (least squares) through the logarithms of both."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = sum(x for x, _ in logs) / len(logs), sum(y for _, y in logs) / len(logs)
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread


def grow(seconds: float, say: Callable[[str], None]) -> list[Series]:
    """Both series; in each simulation requests come for so long."""
    by_nodes = [
        World(nodes=nodes, models=MODELS_A_NODE * nodes, per_s=PER_NODE_S * nodes, seconds=seconds)
        for nodes in NODES
    ]
    by_models = [
        World(nodes=FEW_NODES, models=models, per_s=FEW_PER_S, seconds=seconds) for models in MODELS
    ]
    return [
        Series(axis="nodes", runs=[_run(world, say) for world in by_nodes]),
        Series(axis="models", runs=[_run(world, say) for world in by_models]),
    ]


def _run(world: World, say: Callable[[str], None]) -> Report:
    say(f"{world.nodes} boxes, {world.models} models")
    return report_of(simulate(world))
