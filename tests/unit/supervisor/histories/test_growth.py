"""What the loop costs by how many models there are: a turn looks at each of them once."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from ipc.messages.admin import Ask, GetHealth
from ipc.messages.control import Demand, Heartbeat, ModelDemand
from tests.unit.operations import operations
from tests.unit.supervisor.histories.world import EMBED, World, run

FEW, MANY = 10, 100
RARE = msgspec.structs.replace(EMBED, load="on_demand")


def server(models: int) -> World:
    """One of the models is loaded, and all others are when somebody asks for them."""
    others = [msgspec.structs.replace(RARE, name=f"m{number}") for number in range(models - 1)]
    return run(EMBED, *others)


def a_tick(models: int) -> int:
    return operations(server(models).supervisor.tick)


def a_sample(models: int) -> int:
    return operations(server(models).supervisor.sample)


def a_demand(models: int) -> int:
    world = server(models)
    demand = Demand([ModelDemand(name="m0", waiting=0, in_hand=0, jobs=1)])
    return operations(lambda: world.supervisor.on_message("frontend.1", demand))


def a_question_how_it_is(models: int) -> int:
    world = server(models)
    return operations(lambda: world.supervisor.on_message("frontend.1", Ask(1, GetHealth())))


@pytest.mark.parametrize("turn", [a_tick, a_sample, a_demand, a_question_how_it_is])
def test_ten_times_the_models_take_no_more_than_ten_times_the_steps(
    turn: Callable[[int], int],
) -> None:
    assert turn(MANY) <= MANY / FEW * turn(FEW)


def test_a_heartbeat_costs_the_same_however_many_models_there_are() -> None:
    def a_heartbeat(models: int) -> int:
        world = server(models)
        return operations(lambda: world.supervisor.on_message("embed-1.1", Heartbeat()))

    assert a_heartbeat(MANY) == a_heartbeat(FEW)
