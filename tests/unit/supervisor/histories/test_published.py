"""What the frontend is told of the models, and that only changes are told."""

from __future__ import annotations

import msgspec

from ipc.messages.control import BootFailed, Loading, Ready, States
from ipc.messages.state import ModelState
from supervisor.state.footprints import Footprint, Subject
from tests.unit.supervisor.histories.world import (
    EMBED,
    World,
    becomes_ready,
    begin,
    connects,
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


def test_each_stage_of_a_load_is_told_once() -> None:
    started = ["frontend.1 <- embed backoff", "frontend.1 <- embed starting", "start embed-1.2"]
    world = run(EMBED).play(
        (5.0, exits("embed-1.1"), started),
        (6.0, says("embed-1.2", Loading("loading")), ["frontend.1 <- embed starting"]),
        (6.5, says("embed-1.2", Loading("loading")), []),
    )
    (embed,) = published(world)
    assert (embed.stage, embed.load_began_at) == ("loading", 5.0)


def test_what_the_last_load_took_is_told() -> None:
    started = ["frontend.1 <- embed backoff", "frontend.1 <- embed starting", "start embed-1.2"]
    world = run(EMBED).play(
        (5.0, exits("embed-1.1"), started),
        (7.5, says("embed-1.2", Ready()), ["frontend.1 <- embed ready embed-1.2"]),
    )
    (embed,) = published(world)
    assert (embed.stage, embed.load_began_at, embed.load_s) == (None, None, 2.5)


def test_before_the_first_load_of_a_run_that_of_an_earlier_one_is_told() -> None:
    rare = msgspec.structs.replace(EMBED, load="on_demand")
    world = World(rare)
    world.footprints[rare.name] = Footprint(
        subject=Subject.of(rare, ""), private_bytes=1, peak_bytes=None, measured_at=0, load_s=8.0
    )
    begin(world)
    connects("frontend.1")(world)
    becomes_ready("frontend.1")(world)
    (embed,) = published(world)
    assert (embed.state, embed.load_s) == ("unloaded", 8.0)


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


def test_a_model_that_could_not_be_fetched_is_told_of_as_failed() -> None:
    world = run(EMBED, unavailable={"speech": "no network"})
    (embed, speech) = published(world)
    assert (embed.state, embed.was_ready) == ("ready", True)
    assert (speech.name, speech.state, speech.reason) == ("speech", "failed", "no network")


def test_a_model_was_ready_as_soon_as_one_of_its_replicas_was() -> None:
    world = World(TWO)
    begin(world)
    connects("frontend.1")(world)
    becomes_ready("frontend.1")(world)
    becomes_ready("embed-1.1")(world)
    (embed,) = published(world)
    assert (embed.state, embed.was_ready) == ("ready", True)


def test_of_two_replicas_the_one_that_will_be_tried_sooner_speaks_for_the_model() -> None:
    world = run(TWO)
    says("embed-1.1", BootFailed(reason="no such file", permanent=True))(world)
    exits("embed-1.1")(world)
    for generation in (1, 2):
        exits(f"embed-2.{generation}")(world)
    (embed,) = published(world)
    assert (embed.state, embed.reason) == ("backoff", "killed by SIGSEGV")


def published(world: World) -> list[ModelState]:
    """What was told last."""
    return [message for message in world.sent if isinstance(message, States)][-1].models


def retry_after(world: World) -> float | None:
    return published(world)[0].retry_after_s
