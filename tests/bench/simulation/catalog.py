"""Which models there are, how often each is asked for, and which boxes have its files."""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect
from dataclasses import dataclass

from ipc.messages.spec import Loaded, Spec
from tests.bench.simulation.recorded import KINDS, Kind

# A model is on so many boxes at least, if there are as many: one may be away.
LEAST_BOXES = 3
# How long a model stays without work: `MODEL_IDLE_UNLOAD_SEC` by default.
IDLE_UNLOAD_S = 900.0


@dataclass(frozen=True, slots=True)
class Model:
    """``rank`` is how many are asked for more often, ``boxes`` those that have its files, by their
    numbers."""

    rank: int
    spec: Spec
    kind: Kind
    boxes: list[int]

    @property
    def loaded(self) -> Loaded:
        """What its worker says of it once it is ready."""
        return Loaded(device="cpu", goes_on=self.kind.task == "chat")


class Catalog:
    """``count`` models on ``nodes`` boxes; the n-th is asked for 1/n as often as the first. One
    that gets so much of all requests is on as much of all boxes."""

    def __init__(self, count: int, nodes: int, chance: random.Random) -> None:
        weights = [1 / rank for rank in range(1, count + 1)]
        self._summed = list(itertools.accumulate(weights))
        total = self._summed[-1]
        kinds = chance.choices(KINDS, [each.share for each in KINDS], k=count)
        self.models = [
            _model(rank, kind, weight / total, nodes, chance)
            for rank, (kind, weight) in enumerate(zip(kinds, weights, strict=True))
        ]

    def any(self, chance: random.Random) -> Model:
        """One of them by chance, as often as it is asked for."""
        return self.models[bisect(self._summed, chance.random() * self._summed[-1])]


def _model(rank: int, kind: Kind, share: float, nodes: int, chance: random.Random) -> Model:
    spec = Spec(
        name=f"{kind.task}/{rank}",
        task=kind.task,
        engine="echo",
        path="",
        load="on_demand",
        idle_unload_s=IDLE_UNLOAD_S,
        memory_mb=kind.memory_mb,
    )
    boxes = min(nodes, max(LEAST_BOXES, math.ceil(share * nodes)))
    return Model(rank - 1, spec, kind, chance.sample(range(nodes), boxes))
