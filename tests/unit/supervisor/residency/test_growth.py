"""What a decision costs: by what a box has in memory and is asked for, not by its catalog."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ipc.messages.control import ModelDemand
from ipc.messages.spec import Groups
from supervisor.residency.decisions import Decision, Load, Residency, Unload
from supervisor.residency.policy import Policy
from supervisor.residency.room import Room
from tests.unit.operations import operations

ROOM = Room(10_000, 1000)
POLICY = Policy(always=False, idle_s=900.0, need_mb=250, measured=True)


def residency(models: int) -> Residency:
    """Four of so many models are in memory, which is full; two are loaded and leave together."""
    found = Residency(Groups(keep_together=[["m0", "m1"]]))
    found.set_policies({f"m{number}": POLICY for number in range(models)}, 0.0)
    for number in range(4):
        found.on_phase(f"m{number}", "loading", 1.0)
        found.on_phase(f"m{number}", "in", 2.0, 1.0)
        assert found.decide(lambda _: ROOM, 2.0) == []
    return found


def ask(found: Residency, name: str, now: float) -> None:
    found.on_demand(ModelDemand(name=name, waiting=1, in_hand=0, jobs=1), now)


def nothing_to_do(models: int) -> int:
    found = residency(models)
    return operations(lambda: found.decide(lambda _: ROOM, 60.0))


def an_eviction(models: int) -> int:
    found = residency(models)
    ask(found, "m9", 60.0)
    decided: list[Decision] = []
    cost = operations(lambda: decided.extend(found.decide(lambda _: ROOM, 60.0)))
    assert [type(one) for one in decided] == [Unload]
    return cost


def a_load(models: int) -> int:
    found = residency(models)
    found.on_phase("m3", "out", 50.0)
    ask(found, "m9", 60.0)
    decided: list[Decision] = []
    cost = operations(lambda: decided.extend(found.decide(lambda _: ROOM, 60.0)))
    assert decided == [Load("m9")]
    return cost


@pytest.mark.parametrize("decision", [nothing_to_do, an_eviction, a_load])
def test_models_that_are_out_and_wanted_by_nobody_cost_nothing(
    decision: Callable[[int], int],
) -> None:
    assert decision(1000) == decision(10)
