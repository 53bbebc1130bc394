"""A model of a cluster, by the loop: what its worker is told, and how much is handed over."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from ipc.messages.admin import Ask, GetHealth
from ipc.messages.control import Demand, ModelDemand, Shared
from ipc.messages.spec import Scaling
from supervisor.cluster.forwarding import forwarding
from tests.unit.supervisor.histories.world import (
    EMBED,
    KILLED,
    World,
    becomes_ready,
    connects,
    exits,
    run,
    says,
    told,
    turn,
)

SERVED = replace(EMBED, slots=4, scaling=Scaling(most=3, wait_s=2.0, idle_s=10.0))
SPEC = forwarding(SERVED, 100, Path("/state/cluster"), Path("/models"))
WANTS = Demand([ModelDemand(name="embed", waiting=3, in_hand=2, jobs=5, wait_s=4)])
LATE = Shared(count=1, ready=1, room=6, waiting=9, in_hand=6, wait_s=4.0, decides=True)
READY = "frontend.1 <- embed ready embed-1.1"


def credit(world: World) -> list[int]:
    return [route.credit for model in world.published() for route in model.routes]


def test_its_worker_hears_what_clients_want_and_its_next_one_too() -> None:
    run(SPEC).play(
        (1.25, says("frontend.1", WANTS), []),
        (1.5, turn, ["embed-1.1 <- 3 wait, 2 in hand"]),
        (4.0, turn, []),
        (
            4.25,
            exits("embed-1.1", KILLED),
            ["frontend.1 <- embed backoff", "frontend.1 <- embed starting", "start embed-1.2"],
        ),
        (4.5, connects("embed-1.2"), ["embed-1.2 <- load embed on cpu"]),
        (5.0, becomes_ready("embed-1.2"), ["frontend.1 <- embed ready embed-1.2"]),
        (5.5, turn, ["embed-1.2 <- 3 wait, 2 in hand"]),
    )


def test_so_much_is_handed_over_as_the_other_boxes_leave_room_for() -> None:
    world = run(SPEC)
    assert credit(world) == [SPEC.credit]
    world.play(
        (1.25, says("embed-1.1", replace(LATE, room=6)), [READY]),
        (1.5, turn, ["embed-1.1 <- 0 wait, 0 in hand"]),
    )
    assert credit(world) == [6]


def test_the_first_box_decides_how_many_replicas_there_are() -> None:
    world = run(SPEC).play(
        (1.25, says("embed-1.1", LATE), [READY]),
        (1.5, turn, ["embed-1.1 <- 0 wait, 0 in hand"]),
        (21.5, turn, ["embed-1.1 <- 2 replicas"]),
        (21.75, says("frontend.1", Ask(1, GetHealth())), ["frontend.1 <- told 1"]),
    )
    assert told(world)["models"][0]["scaling"] == {
        "min": 1,
        "max": 3,
        "wanted": 2,
        "why": "a request would wait 4 s",
    }
