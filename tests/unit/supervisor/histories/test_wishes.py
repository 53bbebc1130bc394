"""What operators wish for: loads, unloads, pins and restarts, as the loop grants them."""

from __future__ import annotations

import msgspec
import pytest

from ipc.messages.admin import (
    AdminAct,
    DrainModel,
    GetBox,
    GetHealth,
    LoadModel,
    PinModel,
    ReadLog,
    RestartModel,
    StopServer,
    UnloadModel,
    Wish,
)
from ipc.messages.errors import InsufficientMemory, ModelBusy, ModelNotFound, ModelPinned
from tests.unit.supervisor.histories.test_residency import idle, ready_at, wants
from tests.unit.supervisor.histories.world import (
    EMBED,
    ENDED,
    FAULT,
    World,
    becomes_ready,
    connects,
    exits,
    refused,
    run,
    says,
    told,
    turn,
    wishes,
)

TOLD = "frontend.1 <- told 1"
LOADED_BY_WISH = ["frontend.1 <- embed starting", "start embed-1.1", TOLD]
ALWAYS = msgspec.structs.replace(EMBED, load="always")


def kinds(world: World) -> list[str]:
    """The events but those of states, in their order."""
    return [one.type for one in world.events if one.type != "model.state"]


def test_a_model_is_loaded_when_an_operator_says_so() -> None:
    world = idle("embed")
    world.play(
        (2.0, wishes(LoadModel(model="embed")), LOADED_BY_WISH),
        (2.0, wishes(LoadModel(model="embed")), [TOLD]),  # it is on its way
        (2.25, connects("embed-1.1"), ["embed-1.1 <- load embed on cpu"]),
        (4.0, becomes_ready("embed-1.1"), ["frontend.1 <- embed ready embed-1.1"]),
        (10.0, wishes(LoadModel(model="embed")), [TOLD]),
        # Twenty seconds without work count from when somebody last wished for it.
        (30.0, turn, ["frontend.1 <- embed draining (embed-1)"]),
    )
    assert told(world) == {
        "model": "embed",
        "state": "ready",
        "reason": None,
        "pinned": False,
        "idle_unload_s": 20.0,
        "leaves_in_s": 20.0,
        "idle_s": 0.0,
        "load_s": 2.0,
        "drained": False,
    }
    assert kinds(world) == ["model.load", "model.unload"]


def test_it_stays_for_as_long_as_the_operator_says_until_it_next_leaves() -> None:
    world = idle("embed")
    world.play(
        (2.0, wishes(LoadModel(model="embed", keep_s=50.0)), LOADED_BY_WISH),
        (2.25, connects("embed-1.1"), ["embed-1.1 <- load embed on cpu"]),
        (4.0, becomes_ready("embed-1.1"), ["frontend.1 <- embed ready embed-1.1"]),
        (4.25, turn, []),
        (54.25, turn, ["frontend.1 <- embed draining (embed-1)"]),
        (54.5, turn, ["embed-1.1 <- drain within 600 s"]),
        (55.0, exits("embed-1.1", ENDED), ["frontend.1 <- embed unloaded"]),
    )
    assert told(world)["idle_unload_s"] == 50.0
    world.play((60.0, wishes(PinModel(model="embed", pinned=False)), [TOLD]))
    assert told(world)["idle_unload_s"] == 20.0


def test_a_model_is_unloaded_and_comes_back_at_its_next_request() -> None:
    world = idle("embed", idle_s=0.0)
    ready_at(world, "embed", "embed-1.1", 2.0)
    leaves = ["frontend.1 <- embed draining (embed-1)", TOLD]
    world.play(
        (4.0, wishes(UnloadModel(model="embed")), leaves),
        (4.0, wishes(UnloadModel(model="embed")), [TOLD]),
        (4.25, turn, ["embed-1.1 <- drain within 600 s"]),
        (5.0, exits("embed-1.1", ENDED), ["frontend.1 <- embed unloaded"]),
        (6.0, wishes(UnloadModel(model="embed")), [TOLD]),
        (9.0, wants("embed", jobs=2), ["frontend.1 <- embed starting", "start embed-1.2"]),
    )
    unloads = [one.facts for one in world.events if one.type == "model.unload"]
    assert unloads == [{"why": "an operator has unloaded it"}]


def test_a_drained_model_is_published_as_such_until_it_is_resumed() -> None:
    drains = wishes(DrainModel(model="embed", drained=True))
    world = run(EMBED)
    world.play(
        (2.0, drains, ["frontend.1 <- embed ready embed-1.1", TOLD]),
        (3.0, drains, [TOLD]),
    )
    assert told(world)["drained"]
    assert [one.drained for one in world.published()] == [True]
    world.play(
        (
            4.0,
            wishes(DrainModel(model="embed", drained=False)),
            ["frontend.1 <- embed ready embed-1.1", TOLD],
        ),
        (5.0, wishes(DrainModel(model="none", drained=True)), [TOLD]),
    )
    assert isinstance(refused(world), ModelNotFound)
    assert [one.drained for one in world.published()] == [False]
    assert kinds(world) == ["model.load", "model.drain", "model.resume"]


def test_one_that_is_always_loaded_stays_out_until_somebody_asks() -> None:
    world = run(ALWAYS)
    world.play(
        (
            2.0,
            wishes(UnloadModel(model="embed")),
            ["frontend.1 <- embed draining (embed-1)", TOLD],
        ),
        (2.25, turn, ["embed-1.1 <- drain within 600 s"]),
        (3.0, exits("embed-1.1", ENDED), ["frontend.1 <- embed unloaded"]),
        (90.0, turn, []),
        (91.0, wants("embed"), ["frontend.1 <- embed starting", "start embed-1.2"]),
        (91.25, connects("embed-1.2"), ["embed-1.2 <- load embed on cpu"]),
        (92.0, becomes_ready("embed-1.2"), ["frontend.1 <- embed ready embed-1.2"]),
        (92.0, wants("embed", waiting=0), []),
        (900.0, turn, []),
    )


def test_a_model_with_work_is_unloaded_only_by_force_and_finishes_it() -> None:
    world = run(ALWAYS)
    world.play((2.0, wants("embed", waiting=1, in_hand=2, jobs=3), []))
    world.play((3.0, wishes(UnloadModel(model="embed")), [TOLD]))
    error = refused(world)
    assert isinstance(error, ModelBusy)
    assert "'embed' has work (2 in hand, 1 waiting)" in error.message
    leaves = ["frontend.1 <- embed draining (embed-1)", TOLD]
    world.play(
        (4.0, wishes(UnloadModel(model="embed", force=True)), leaves),
        (4.25, turn, ["embed-1.1 <- drain within 600 s"]),
        (30.0, exits("embed-1.1", ENDED), ["frontend.1 <- embed unloaded"]),
        # One that waited has it loaded again.
        (30.25, turn, ["frontend.1 <- embed starting", "start embed-1.2"]),
    )


def test_a_model_on_its_way_in_can_be_called_back() -> None:
    world = idle("embed")
    world.play(
        (2.0, wishes(LoadModel(model="embed")), LOADED_BY_WISH),
        (
            3.0,
            wishes(UnloadModel(model="embed")),
            ["frontend.1 <- embed draining", TOLD],
        ),
        (3.25, turn, ["SIGTERM to embed-1.1"]),  # it has not said hello yet
        (4.0, exits("embed-1.1", ENDED), ["frontend.1 <- embed unloaded"]),
    )


def test_a_load_makes_room_and_says_for_whom() -> None:
    world = idle("a", "b", idle_s=0.0)
    ready_at(world, "a", "embed-1.1", 2.0)
    world.play(
        (
            32.0,
            wishes(LoadModel(model="b")),
            ["frontend.1 <- a draining (embed-1), b unloaded", TOLD],
        ),
        (32.25, turn, ["embed-1.1 <- drain within 600 s"]),
        (33.0, exits("embed-1.1", ENDED), ["frontend.1 <- a unloaded, b unloaded"]),
        (33.25, turn, ["frontend.1 <- a unloaded, b starting", "start embed-2.1"]),
    )
    assert [one.facts for one in world.events if one.type == "eviction"] == [
        {"victim": "a", "for": "b", "freed_mb": 200, "reason": "b needs 200 MB"}
    ]


def test_a_load_for_which_pinned_models_leave_no_room_is_refused() -> None:
    world = idle("a", "b", idle_s=0.0)
    ready_at(world, "a", "embed-1.1", 2.0)
    world.play(
        (3.0, wishes(PinModel(model="a", pinned=True)), [TOLD]),
        (40.0, wishes(LoadModel(model="b")), [TOLD]),
    )
    error = refused(world)
    assert isinstance(error, ModelPinned)
    assert "a (200 MB) may not be unloaded" in error.message
    world.play(
        (41.0, wishes(PinModel(model="a", pinned=False)), [TOLD]),
        (
            42.0,
            wishes(LoadModel(model="b")),
            ["frontend.1 <- a draining (embed-1), b unloaded", TOLD],
        ),
    )


@pytest.mark.parametrize(
    ("wish", "gives"),
    [
        (PinModel(model="a", pinned=False), ["frontend.1 <- a ready embed-1.1, b unloaded", TOLD]),
        (UnloadModel(model="a"), ["frontend.1 <- a draining (embed-1), b unloaded", TOLD]),
    ],
)
def test_room_that_an_operator_gives_counts_at_once(wish: Wish, gives: list[str]) -> None:
    world = idle("a", "b", idle_s=0.0)
    ready_at(world, "a", "embed-1.1", 2.0)
    world.play(
        (3.0, wishes(PinModel(model="a", pinned=True)), [TOLD]),
        (40.0, wants("b"), ["frontend.1 <- a ready embed-1.1, b unloaded"]),
    )
    assert "a (200 MB) may not be unloaded" in (world.published()[1].refused or "")
    world.play((40.25, wants("b", waiting=0), []), (41.0, wishes(wish), gives))
    assert [one.refused for one in world.published()] == [None, None]


def test_a_load_for_which_the_box_has_no_room_is_refused() -> None:
    world = idle("a")
    world.memory_mb = 100.0
    world.play((2.0, wishes(LoadModel(model="a")), [TOLD]))
    error = refused(world)
    assert isinstance(error, InsufficientMemory)
    assert error.message == "model 'a' needs 200 MB and 100 MB are free"
    world.memory_mb = 300.0
    world.play((3.0, turn, []))  # nobody waits for it any more


def test_workers_are_replaced_one_after_the_other() -> None:
    world = run(msgspec.structs.replace(EMBED, replicas=2))
    world.play(
        (
            2.0,
            wishes(RestartModel(model="embed")),
            ["frontend.1 <- embed ready (embed-1) embed-2.1", TOLD],
        ),
        (2.25, turn, ["embed-1.1 <- drain within 30 s"]),
        (
            3.0,
            exits("embed-1.1", ENDED),
            [
                "frontend.1 <- embed ready embed-2.1",
                "start embed-1.2",
            ],
        ),
        (3.25, connects("embed-1.2"), ["embed-1.2 <- load embed on cpu"]),
        (
            4.0,
            becomes_ready("embed-1.2"),
            ["frontend.1 <- embed ready embed-1.2 embed-2.1"],
        ),
        (4.25, turn, ["frontend.1 <- embed ready embed-1.2 (embed-2)"]),
        (4.5, turn, ["embed-2.1 <- drain within 30 s"]),
        (
            5.0,
            exits("embed-2.1", ENDED),
            [
                "frontend.1 <- embed ready embed-1.2",
                "start embed-2.2",
            ],
        ),
        (5.25, connects("embed-2.2"), ["embed-2.2 <- load embed on cpu"]),
        (6.0, becomes_ready("embed-2.2"), ["frontend.1 <- embed ready embed-1.2 embed-2.2"]),
        (90.0, turn, []),
    )


@pytest.mark.parametrize("wish", [RestartModel(model="embed"), LoadModel(model="embed")])
def test_one_that_has_failed_is_tried_at_once(wish: Wish) -> None:
    world = run(ALWAYS)
    exits("embed-1.1", FAULT)(world)
    exits("embed-1.2", FAULT)(world)
    world.done.clear()
    world.play((1.25, wishes(wish), ["frontend.1 <- embed starting", "start embed-1.3", TOLD]))


@pytest.mark.parametrize(
    "wish",
    [
        LoadModel(model="x"),
        UnloadModel(model="x"),
        PinModel(model="x", pinned=True),
        RestartModel(model="x"),
    ],
)
def test_a_model_that_is_not_served_is_not_found(wish: Wish) -> None:
    world = run(ALWAYS)
    wishes(wish)(world)
    error = refused(world)
    assert isinstance(error, ModelNotFound)
    assert error.message == "this server has no model called 'x'"


# --- the server itself ---


def test_the_machine_and_what_processes_say_are_told() -> None:
    world = run(ALWAYS)
    wishes(GetBox())(world)
    assert told(world) == {"cpus": 2}
    wishes(ReadLog(process="embed-1", tail=5, after=3))(world)
    assert told(world) == {"lines": ["embed-1 5 3"], "last": 7}


def test_who_wishes_for_the_end_is_answered_first_and_who_does_so_twice_changes_nothing() -> None:
    run(ALWAYS).play(
        (5.0, wishes(StopServer()), [TOLD]),
        (5.25, turn, ["systemd: STOPPING=1, STATUS=draining", "frontend.1 <- drain within 30 s"]),
        (6.0, wishes(StopServer()), [TOLD]),
        (6.25, turn, []),
    )


def test_what_somebody_has_done_is_written_down() -> None:
    act = AdminAct(by="ann", act="model.load", on="embed", result="ok", request_id="req_1")
    world = run(ALWAYS)
    says("frontend.1", act)(world)
    assert world.acts == [act]


def test_health_tells_how_long_a_model_has_had_no_work_and_what_its_load_took() -> None:
    world = idle("embed")
    world.play(
        (2.0, wishes(LoadModel(model="embed")), LOADED_BY_WISH),
        (2.25, connects("embed-1.1"), ["embed-1.1 <- load embed on cpu"]),
        (4.0, becomes_ready("embed-1.1"), ["frontend.1 <- embed ready embed-1.1"]),
        (10.0, wishes(GetHealth()), [TOLD]),
    )
    (model,) = told(world)["models"]
    assert (model["idle_s"], model["leaves_in_s"], model["load_s"]) == (5.75, 14.25, 2.0)
