"""Models that are loaded when somebody asks, by the loop that does it: starts, stops and routes."""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.messages.admin import Ask, GetHealth
from ipc.messages.control import BootFailed, Demand, ModelDemand
from supervisor.state.footprints import Footprint, Subject
from tests.unit.supervisor.histories.world import (
    CHAT,
    EMBED,
    ENDED,
    FAULT,
    Happens,
    World,
    becomes_ready,
    begin,
    connects,
    exits,
    grows,
    run,
    says,
    stop,
    told,
    turn,
)

RARE = msgspec.structs.replace(EMBED, load="on_demand", idle_unload_s=20.0)


def wants(
    name: str, waiting: int = 1, in_hand: int = 0, jobs: int = 1, frontend: str = "frontend.1"
) -> Happens:
    demand = ModelDemand(name=name, waiting=waiting, in_hand=in_hand, jobs=jobs)
    return says(frontend, Demand([demand]))


def idle(*names: str, idle_s: float = 20.0, preload: bool = True, **changes: Any) -> World:
    """A frontend that is ready in front of models that are all out."""
    rare = msgspec.structs.replace(RARE, idle_unload_s=idle_s, **changes)
    specs = [msgspec.structs.replace(rare, name=name) for name in names]
    world = run(*specs, memory_budget_mb=300, preload=preload)
    for spec in specs:
        world.footprints[spec.name] = Footprint(
            subject=Subject.of(spec, ""), private_bytes=200 << 20, peak_bytes=None, measured_at=1
        )
    return world


def test_a_model_that_nobody_asks_for_is_not_started() -> None:
    World(CHAT, RARE).play(
        (0.0, begin, ["start frontend.1", "start chat-1.1"]),
        (0.25, connects("frontend.1"), ["frontend.1 <- serve chat embed"]),
        (
            0.5,
            becomes_ready("frontend.1"),
            [
                "frontend.1 <- chat starting, embed unloaded",
                "systemd: READY=1",
            ],
        ),
        (60.0, turn, []),
    )


def test_it_is_loaded_for_whoever_asks_and_unloaded_when_nobody_has_for_a_while() -> None:
    idle("embed").play(
        (2.0, wants("embed"), ["frontend.1 <- embed starting", "start embed-1.1"]),
        (2.0, wants("embed", waiting=2, jobs=2), []),
        (2.25, connects("embed-1.1"), ["embed-1.1 <- load embed on cpu"]),
        (
            4.0,
            becomes_ready("embed-1.1"),
            [
                "frontend.1 <- embed ready embed-1.1",
            ],
        ),
        (4.0, wants("embed", waiting=0, in_hand=2, jobs=2), []),
        (6.0, wants("embed", waiting=0, in_hand=0, jobs=2), []),
        (26.0, turn, ["frontend.1 <- embed draining (embed-1)"]),
        # What was sent to it before the frontend heard of that is finished, however long it takes.
        (26.25, turn, ["embed-1.1 <- drain within 600 s"]),
        (27.0, exits("embed-1.1", ENDED), ["frontend.1 <- embed unloaded"]),
        (90.0, turn, []),
        (91.0, wants("embed", jobs=3), ["frontend.1 <- embed starting", "start embed-1.2"]),
    )


def test_a_request_that_comes_while_it_leaves_has_it_loaded_again_once_it_is_gone() -> None:
    idle("embed").play(
        (2.0, wants("embed"), ["frontend.1 <- embed starting", "start embed-1.1"]),
        (2.25, connects("embed-1.1"), ["embed-1.1 <- load embed on cpu"]),
        (
            4.0,
            becomes_ready("embed-1.1"),
            ["frontend.1 <- embed ready embed-1.1"],
        ),
        (4.0, wants("embed", waiting=0), []),
        (24.0, turn, ["frontend.1 <- embed draining (embed-1)"]),
        (24.25, turn, ["embed-1.1 <- drain within 600 s"]),
        (24.5, wants("embed", jobs=2), []),
        (25.0, exits("embed-1.1", ENDED), ["frontend.1 <- embed unloaded"]),
        (25.25, turn, ["frontend.1 <- embed starting", "start embed-1.2"]),
    )


def ready_at(world: World, name: str, child: str, at: float) -> None:
    """``name`` is loaded for one request, which is answered."""
    wants(name)(world)
    connects(child)(world)
    world.at = at
    becomes_ready(child)(world)
    wants(name, waiting=0)(world)
    world.done.clear()


def test_one_model_makes_room_for_another() -> None:
    world = idle("a", "b", idle_s=0.0)
    ready_at(world, "a", "embed-1.1", 2.0)
    world.play(
        # It has been in for half a minute, which is the least.
        (32.0, wants("b"), ["frontend.1 <- a draining (embed-1), b unloaded"]),
        (32.25, turn, ["embed-1.1 <- drain within 600 s"]),
        (33.0, exits("embed-1.1", ENDED), ["frontend.1 <- a unloaded, b unloaded"]),
        (33.25, turn, ["frontend.1 <- a unloaded, b starting", "start embed-2.1"]),
    )


def test_a_model_that_fails_to_start_keeps_nobody_else_from_starting() -> None:
    world = idle("a", "b")
    world.footprints.clear()
    world.play(
        (2.0, wants("a"), ["frontend.1 <- a starting, b unloaded", "start embed-1.1"]),
        (2.25, wants("b"), []),
        (
            3.0,
            exits("embed-1.1", FAULT),
            [
                "frontend.1 <- a backoff, b unloaded",
                "frontend.1 <- a starting, b unloaded",
                "start embed-1.2",
            ],
        ),
        (
            4.0,
            exits("embed-1.2", FAULT),
            ["frontend.1 <- a backoff, b unloaded"],
        ),
        (4.25, turn, ["frontend.1 <- a backoff, b starting", "start embed-2.1"]),
    )


def test_a_model_for_which_there_is_no_room_is_refused_for_a_while() -> None:
    world = idle("a")
    world.memory_mb = 100.0
    world.play((2.0, wants("a"), ["frontend.1 <- a unloaded"]))
    (state,) = world.published()
    assert state.refused == "model 'a' needs 200 MB and 100 MB are free"
    world.play(
        (2.25, wants("a", waiting=0), []),
        (7.0, turn, ["frontend.1 <- a unloaded"]),
    )
    (state,) = world.published()
    assert state.refused is None


def test_a_frontend_that_died_wants_nothing_any_more() -> None:
    world = idle("a", "b")
    world.play(
        (2.0, wants("a"), ["frontend.1 <- a starting, b unloaded", "start embed-1.1"]),
        (2.25, wants("b"), []),
        (2.25, exits("frontend.1"), ["start frontend.2"]),
        (2.5, connects("embed-1.1"), ["embed-1.1 <- load a on cpu"]),
        (
            3.0,
            becomes_ready("embed-1.1"),
            [],
        ),
        (10.0, turn, []),
    )


def test_a_load_for_which_the_kernel_had_no_memory_is_tried_once_more() -> None:
    world = idle("a")
    lacks = BootFailed(reason="no memory", memory=True)
    gone = ["frontend.1 <- a backoff", "frontend.1 <- a unloaded"]
    world.play(
        (2.0, wants("a"), ["frontend.1 <- a starting", "start embed-1.1"]),
        (2.25, connects("embed-1.1"), ["embed-1.1 <- load a on cpu"]),
        (3.0, grows("embed-1.1", 230.0), []),
        (4.0, says("embed-1.1", lacks), ["frontend.1 <- a starting", "embed-1.1 <- noted"]),
        (4.0, exits("embed-1.1", FAULT), gone),
        (4.25, turn, ["frontend.1 <- a starting", "start embed-1.2"]),
        (4.5, connects("embed-1.2"), ["embed-1.2 <- load a on cpu"]),
        (5.0, says("embed-1.2", lacks), ["frontend.1 <- a starting", "embed-1.2 <- noted"]),
        (5.0, exits("embed-1.2", FAULT), gone),
        (60.0, turn, []),
    )
    (state,) = world.published()
    assert state.refused is not None
    assert "was loaded twice and lacked memory both times" in state.refused


def test_models_that_were_ready_at_the_last_stop_are_loaded_again() -> None:
    world = World(CHAT, RARE)
    world.before = ["embed"]
    world.play(
        (0.0, begin, ["start frontend.1", "start chat-1.1"]),
        (0.25, connects("frontend.1"), ["frontend.1 <- serve chat embed"]),
        (0.25, connects("chat-1.1"), ["chat-1.1 <- load chat on cuda:0"]),
        # Each device loads by itself.
        (0.5, turn, ["start embed-1.1"]),
    )


def test_what_is_ready_at_a_stop_is_kept_for_the_next_start_unless_nobody_wants_it() -> None:
    for preload, kept in ((True, ["a"]), (False, [])):
        world = idle("a", "b", preload=preload)
        ready_at(world, "a", "embed-1.1", 2.0)
        stop(world)
        assert world.kept_residents == kept


def test_gpu_memory_that_does_not_come_back_is_told_of() -> None:
    world = idle("a", "b", idle_s=0.0, device="cuda:0", memory_mb=200)
    world.footprints.clear()
    world.vram_mb = 300.0
    ready_at(world, "a", "embed-1.1", 2.0)
    world.vram_mb = 60.0
    wants("b")(world)
    for at in range(130, 330):
        world.at = at / 4
        world.turn()
        if at == 134:
            exits("embed-1.1", ENDED)(world)
    leaks = [one for one in world.events if one.type == "device.leaked"]
    assert [(one.model, one.facts) for one in leaks] == [
        ("a", {"device": "cuda:0", "missing_mb": 100})
    ]
    assert "start embed-2.1" not in world.done


def test_a_stop_ends_who_is_in_and_starts_nobody() -> None:
    world = idle("a")
    world.play(
        (2.0, stop, ["systemd: STOPPING=1, STATUS=draining", "frontend.1 <- drain within 30 s"]),
        (2.25, wants("a"), []),
    )


def test_health_tells_that_it_is_unloaded_and_not_that_it_is_missing() -> None:
    world = idle("a")
    says("frontend.1", Ask(1, GetHealth()))(world)
    report = told(world)
    assert [(one["name"], one["state"], one["load"]) for one in report["models"]] == [
        ("a", "unloaded", "on_demand")
    ]


def test_systemd_is_told_of_each_load_and_each_unload() -> None:
    world = idle("embed")
    wants("embed")(world)
    becomes_ready("embed-1.1")(world)
    wants("embed", waiting=0)(world)
    world.at += 21.0
    turn(world)
    exits("embed-1.1", ENDED)(world)
    assert world.statuses == [
        "0 of 1 models ready, 1 to be loaded when asked for",
        "0 of 1 models ready",
        "1 of 1 models ready",
        "0 of 1 models ready",
        "0 of 1 models ready, 1 to be loaded when asked for",
    ]


def test_who_follows_the_server_is_told_of_models_that_come_and_go() -> None:
    world = run(CHAT)
    exits("chat-1.1", FAULT)(world)
    told = [(event.type, event.model, event.facts.get("state")) for event in world.events]
    assert told[-3:] == [
        ("model.state", "chat", "backoff"),
        ("replica.exit", "chat", None),
        ("model.state", "chat", "starting"),
    ]
    assert [event.seq for event in world.events] == list(range(1, len(told) + 1))


def test_a_new_frontend_is_told_of_what_came_before_it() -> None:
    world = run(CHAT)
    exits("frontend.1", FAULT)(world)
    world.events.clear()
    world.turn()
    connects("frontend.2")(world)
    becomes_ready("frontend.2")(world)
    assert [event.seq for event in world.events] == list(range(1, len(world.events) + 1))
    assert "replica.exit" in [event.type for event in world.events]
