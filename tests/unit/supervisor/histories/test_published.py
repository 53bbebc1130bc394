"""What the frontend is told of the models, and that only changes are told."""

from __future__ import annotations

import msgspec

from ipc.messages.control import Loading, States
from tests.unit.supervisor.histories.world import (
    EMBED,
    World,
    exits,
    grows,
    run,
    says,
    turn,
    works,
)

TWO = msgspec.structs.replace(EMBED, replicas=2)


def test_heartbeats_and_measurements_change_nothing_and_are_not_told() -> None:
    run(msgspec.structs.replace(EMBED, memory_limit_mb=100)).play(
        *[(float(at), works("embed-1.1", progress=at), []) for at in range(2, 30)],
        (30.0, grows("embed-1.1", 60.0), []),
        (35.0, turn, []),
    )


def test_what_a_loading_worker_does_is_not_told() -> None:
    started = ["frontend.1 <- embed backoff", "frontend.1 <- embed starting", "start embed-1.2"]
    run(EMBED).play(
        (5.0, exits("embed-1.1"), started),
        (6.0, says("embed-1.2", Loading("warming up")), []),
    )


def test_a_replica_that_dies_is_told_though_its_model_is_as_ready_as_before() -> None:
    world = run(TWO)
    world.sent.clear()
    exits("embed-1.1")(world)
    (told,) = [message for message in world.sent if isinstance(message, States)]
    (embed,) = told.models
    assert (embed.state, [route.replica for route in embed.routes]) == ("ready", ["embed-2"])
    assert embed.faulty == ["embed-1.1"]


def test_a_model_that_waits_for_its_next_start_says_when_to_ask_again() -> None:
    world = run(EMBED)
    for generation in (1, 2):
        exits(f"embed-1.{generation}")(world)
    assert retry_after(world) == 1.0


def retry_after(world: World) -> float | None:
    states = [message for message in world.sent if isinstance(message, States)]
    return states[-1].models[0].retry_after_s
