"""One simulation: boxes, models and a part of a day, from the first request to the last answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.bench.simulation.catalog import Catalog, Model
from tests.bench.simulation.client import Clients
from tests.bench.simulation.clock import Clock
from tests.bench.simulation.day import Day
from tests.bench.simulation.meter import Meter
from tests.bench.simulation.node import Node, Tally
from tests.bench.simulation.router import Router, Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """``budget_mb`` is the memory of each box for models. A worker dies, and a box is gone for
    ``away_s``, each ``…_every_s`` of the time of one of them."""

    nodes: int
    models: int
    seconds: float
    per_s: float
    starts_at: float = 12 * 3600.0
    budget_mb: int = 3000
    worker_crash_every_s: float = 86_400.0
    node_crash_every_s: float = 10 * 86_400.0
    away_s: float = 120.0
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """What was seen. Each request is in ``clients`` as answered or failed."""

    world: World
    clients: Clients
    sent: Sent
    tally: Tally
    meter: Meter
    requests: int
    happened: int
    lost: int
    places: list[int]  # of each model, by its rank: what its boxes work on at once


def simulate(world: World) -> Outcome:
    """Raises `BrokenRule` where a decision is one that must never be."""
    clock, meter, tally = Clock(), Meter(), Tally()
    # What is asked for does not depend on what becomes of it.
    chance, asks = random.Random(world.seed), random.Random(world.seed)
    catalog = Catalog(world.models, world.nodes, asks)
    at_node: list[list[Model]] = [[] for _ in range(world.nodes)]
    for model in catalog.models:
        for number in model.boxes:
            at_node[number].append(model)
    nodes = [
        Node(number, models, world.budget_mb, clock, meter, tally, chance)
        for number, models in enumerate(at_node)
    ]
    router = Router(nodes, clock, meter)
    clients = Clients(router, clock, chance)
    day = Day(clock, catalog, clients.send, asks, world.per_s, world.seconds, world.starts_at)
    day.begin()
    _Faults(world, nodes, clock, chance).begin()
    clock.run()
    return Outcome(
        world,
        clients,
        router.sent,
        tally,
        meter,
        day.sent,
        clock.happened,
        len(clients.open),
        [len(each.boxes) * each.spec.slots for each in catalog.models],
    )


@dataclass(slots=True)
class _Faults:
    """What goes wrong, by chance, while requests come."""

    world: World
    nodes: list[Node]
    clock: Clock
    chance: random.Random

    def begin(self) -> None:
        self._wait(self.world.worker_crash_every_s, self._crash_worker)
        self._wait(self.world.node_crash_every_s, self._crash_node)

    def _wait(self, every_s: float, fault: Callable[[Node], None]) -> None:
        apart_s = self.chance.expovariate(len(self.nodes) / every_s)
        if self.clock.now + apart_s < self.world.seconds:
            self.clock.after(apart_s, partial(self._happen, every_s, fault))

    def _happen(self, every_s: float, fault: Callable[[Node], None]) -> None:
        fault(self.chance.choice(self.nodes))
        self._wait(every_s, fault)

    def _crash_worker(self, node: Node) -> None:
        node.crash_worker()

    def _crash_node(self, node: Node) -> None:
        if node.up:
            node.crash()
            self.clock.after(self.world.away_s, node.come_back)
