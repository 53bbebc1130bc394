"""Workers of a model that come and go with its queue, by the loop that does it."""

from __future__ import annotations

import msgspec

from ipc.messages.admin import Ask, GetHealth
from ipc.messages.control import Demand, ModelDemand
from ipc.messages.spec import Scaling, Spec
from supervisor.state.footprints import Footprint, Subject
from tests.unit.supervisor.histories.world import (
    EMBED,
    ENDED,
    KILLED,
    Happens,
    World,
    adds,
    becomes_ready,
    connects,
    exits,
    run,
    says,
    told,
    turn,
)

MANY = msgspec.structs.replace(EMBED, slots=4, scaling=Scaling(most=3, wait_s=2.0, idle_s=10.0))
RARE = msgspec.structs.replace(EMBED, name="rare", load="on_demand")
ONE = "frontend.1 <- embed ready embed-1.1"
READY = "frontend.1 <- embed ready embed-1.1 (embed-2)"
TWO = "frontend.1 <- embed ready embed-1.1 embed-2.1"


def waits(waiting: int = 9, in_hand: int = 6, wait_s: int = 3) -> Happens:
    return _demand(
        ModelDemand(name="embed", waiting=waiting, in_hand=in_hand, jobs=20, wait_s=wait_s)
    )


def _embed(waiting: int = 9, in_hand: int = 6, wait_s: int = 3) -> ModelDemand:
    return ModelDemand(name="embed", waiting=waiting, in_hand=in_hand, jobs=20, wait_s=wait_s)


def calm(in_hand: int = 0) -> Happens:
    return waits(0, in_hand, 0)


def _demand(*models: ModelDemand) -> Happens:
    return says("frontend.1", Demand(list(models)))


def measured(*specs: Spec, budget_mb: int = 1000) -> World:
    """A world in which each worker takes 200 MB."""
    world = run(*specs, memory_budget_mb=budget_mb)
    for spec in specs:
        world.footprints[spec.name] = Footprint(
            subject=Subject.of(spec, ""), private_bytes=200 << 20, peak_bytes=None, measured_at=1
        )
    return world


def doubled(world: World | None = None) -> World:
    """Two workers serve since second 24."""
    return (world or measured(MANY)).play(
        (2.0, waits(), []),
        (22.0, turn, ["start embed-2.1"]),
        (22.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (24.0, becomes_ready("embed-2.1"), [READY]),
        (24.25, turn, [TWO]),
    )


def events(world: World) -> list[str]:
    found = [one for one in world.events if one.type.startswith("replicas.")]
    return [f"{one.type} {one.facts['replicas']}: {one.facts['why']}" for one in found]


def test_one_comes_while_requests_wait_and_finishes_what_it_has_when_it_goes() -> None:
    world = doubled().play(
        (24.5, calm(in_hand=8), []),
        (26.0, calm(in_hand=4), []),
        (36.0, turn, [READY]),
        (36.25, turn, ["embed-2.1 <- drain within 600 s"]),
        (40.0, exits("embed-2.1", ENDED), [ONE]),
        (90.0, turn, []),
    )
    assert events(world) == [
        "replicas.more 2: a request would wait 3 s",
        "replicas.fewer 1: 1 would have done for 10 s",
    ]


def test_nobody_leaves_for_another_worker_and_why_there_is_none_is_told() -> None:
    world = measured(MANY, budget_mb=300).play(
        (2.0, waits(), []),
        (60.0, turn, []),
        (60.0, says("frontend.1", Ask(1, GetHealth())), ["frontend.1 <- told 1"]),
    )
    assert told(world)["models"][0]["scaling"] == {
        "min": 1,
        "max": 3,
        "wanted": 1,
        "why": "no room for another: it would hold 200 MB and 100 MB are free",
    }


def test_it_leaves_the_processors_to_those_that_serve_until_it_is_ready() -> None:
    world = measured(MANY).play((2.0, waits(), []), (22.0, turn, ["start embed-2.1"]))
    child = world.children["embed-2.1"]
    assert child.yields
    connects("embed-2.1")(world)
    becomes_ready("embed-2.1")(world)
    assert not child.yields


def test_one_that_is_killed_while_it_loads_is_loaded_again() -> None:
    measured(MANY).play(
        (2.0, waits(), []),
        (22.0, turn, ["start embed-2.1"]),
        (22.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (23.0, exits("embed-2.1", KILLED), ["start embed-2.2"]),
        (23.25, connects("embed-2.2"), ["embed-2.2 <- load embed on cpu"]),
        (25.0, becomes_ready("embed-2.2"), [READY]),
        (25.25, turn, ["frontend.1 <- embed ready embed-1.1 embed-2.2"]),
    )


def test_a_model_that_somebody_waits_for_gets_its_place() -> None:
    wanted = ModelDemand(name="rare", waiting=1, in_hand=0, jobs=1)
    still = _embed()
    world = measured(MANY, RARE, budget_mb=500).play(
        (2.0, waits(), []),
        (22.0, turn, ["start embed-3.1"]),
        (22.25, connects("embed-3.1"), ["embed-3.1 <- load embed on cpu"]),
        (
            24.0,
            becomes_ready("embed-3.1"),
            ["frontend.1 <- embed ready embed-1.1 (embed-3), rare unloaded"],
        ),
        (24.25, turn, ["frontend.1 <- embed ready embed-1.1 embed-3.1, rare unloaded"]),
        (
            25.0,
            _demand(still, wanted),
            ["frontend.1 <- embed ready embed-1.1 (embed-3), rare unloaded"],
        ),
        (25.25, turn, ["embed-3.1 <- drain within 600 s"]),
        (30.0, turn, []),  # it has something in hand
        (
            31.0,
            exits("embed-3.1", ENDED),
            ["frontend.1 <- embed ready embed-1.1, rare unloaded"],
        ),
        (31.25, turn, ["frontend.1 <- embed ready embed-1.1, rare starting", "start embed-2.1"]),
    )
    assert events(world)[-1] == "replicas.fewer 1: rare needs room"


def test_a_change_of_its_limits_keeps_as_many_and_another_range_as_many_as_it_allows() -> None:
    doubled().play(
        (
            25.0,
            adds(msgspec.structs.replace(MANY, queue_limit=5)),
            ["frontend.1 <- models embed"],
        ),
        (
            26.0,
            adds(msgspec.structs.replace(MANY, scaling=Scaling())),
            ["frontend.1 <- models embed", "frontend.1 <- embed ready embed-1.1 (embed-2)"],
        ),
        (26.25, turn, ["embed-2.1 <- drain within 600 s"]),
    )
