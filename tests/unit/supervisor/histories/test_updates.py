"""A model on its way from one spec to another: who serves it meanwhile, and when it goes back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ipc.messages.admin import Ask, GetHealth
from ipc.messages.control import (
    BootFailed,
    Counters,
    Demand,
    Heartbeat,
    ModelDemand,
    Serve,
)
from ipc.messages.errors import Conflict
from ipc.messages.spec import Spec
from supervisor.state.footprints import Footprint, Subject
from tests.unit.supervisor.histories.world import (
    EMBED,
    ENDED,
    FAULT,
    KILLED,
    Happens,
    World,
    adds,
    becomes_ready,
    connects,
    exits,
    removes,
    run,
    says,
    stop,
    told,
    turn,
)

LARGER = msgspec.structs.replace(EMBED, slots=32)
LARGEST = msgspec.structs.replace(EMBED, slots=64)
OLD_SERVES = "frontend.1 <- embed ready embed-1.1 (embed-2)"
OLD_ALONE = "frontend.1 <- embed ready embed-1.1"
NEW_SERVES = "frontend.1 <- embed ready (embed-1) embed-2.1"
TOLD = "frontend.1 <- models embed"
OLD_LEAVES = "embed-1.1 <- drain within 600 s"
NEW_LEAVES = "embed-2.1 <- drain within 600 s"


def adds_alone(spec: Spec) -> Happens:
    """With the new worker in place of the old one."""

    def happens(world: World) -> None:
        world.supervisor.add(spec, downtime=True)

    return happens


def rolls_back(world: World) -> None:
    world.supervisor.roll_back("embed")


def has_done(child: str, **totals: Any) -> Happens:
    def happens(world: World) -> None:
        world.ready[child] = Counters(**totals)
        world.supervisor.on_message(child, Heartbeat(counters=world.ready[child]))

    return happens


def switched(**how: Any) -> World:
    """A world in which embed-2 serves since second 4, and embed-1 is kept."""
    return run(EMBED, **how).play(
        (2.0, adds(LARGER), [TOLD, "start embed-2.1"]),
        (2.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (3.0, becomes_ready("embed-2.1"), [OLD_SERVES]),
        (4.0 - 0.75, turn, [TOLD, NEW_SERVES]),
    )


def served(world: World) -> list[Spec]:
    """What the frontend was told last that clients may ask for."""
    told = [one.specs for one in world.sent if hasattr(one, "specs")]
    return list(told[-1])


def news(world: World) -> list[str]:
    return [event.type for event in world.events if event.type.startswith("update")]


def why(world: World) -> str:
    return str(world.events[-1].facts.get("why") or news_of(world)["why"])


def news_of(world: World) -> dict[str, Any]:
    return [event.facts for event in world.events if event.type.startswith("update")][-1]


def update_told(world: World, at: float) -> dict[str, Any] | None:
    """What is told of the update to whoever asks at that time."""
    world.play((at, says("frontend.1", Ask(1, GetHealth())), ["frontend.1 <- told 1"]))
    found: dict[str, Any] | None = told(world)["models"][0]["update"]
    return found


# --- it is told ----------------------------------------------------------------------------------


def test_how_far_an_update_is_can_be_asked() -> None:
    assert update_told(run(EMBED), 2.0) is None
    world = run(EMBED).play((2.0, adds(LARGER), [TOLD, "start embed-2.1"]))
    loading = {"state": "loading", "stage": None, "may_go_back": True, "done_in_s": None}
    assert update_told(world, 2.0) == loading
    watched = {"state": "watched", "stage": None, "may_go_back": True, "done_in_s": 50.0}
    assert update_told(switched(), 13.25) == watched


# --- it goes well --------------------------------------------------------------------------------


def test_the_old_worker_is_kept_for_a_minute_and_ends_then() -> None:
    world = switched().play(
        (63.5, turn, [OLD_LEAVES]),
        (64.0, exits("embed-1.1", ENDED), ["frontend.1 <- embed ready embed-2.1"]),
        (90.0, turn, []),
    )
    assert news(world) == ["update.switched", "update.done"]
    assert served(world) == [LARGER]


def test_the_new_one_loads_at_the_lowest_priority() -> None:
    world = run(EMBED)
    adds(LARGER)(world)
    assert world.children["embed-2.1"].yields
    connects("embed-2.1")(world)
    becomes_ready("embed-2.1")(world)
    assert not world.children["embed-2.1"].yields
    assert not world.children["embed-1.1"].yields


def test_clients_have_the_old_limits_until_the_switch() -> None:
    world = run(EMBED)
    adds(LARGER)(world)
    assert served(world) == [EMBED]
    assert served(switched()) == [LARGER]


def test_what_no_worker_is_run_by_changes_at_once_and_starts_nobody() -> None:
    changed = msgspec.structs.replace(EMBED, queue_limit=7, defaults=EMBED.defaults, created=5)
    world = run(EMBED).play((5.0, adds(changed), [TOLD]), (20.0, turn, []))
    assert served(world) == [changed]


# --- it does not ---------------------------------------------------------------------------------


def test_one_that_fails_its_proof_never_serves_and_all_stays_as_it_was() -> None:
    failed = BootFailed(reason="golden: answer 1 of 3 is another", permanent=True)
    world = run(EMBED).play(
        (2.0, adds(LARGER), [TOLD, "start embed-2.1"]),
        (2.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (3.0, says("embed-2.1", failed), ["embed-2.1 <- noted"]),
        (3.25, exits("embed-2.1", FAULT), ["frontend.1 <- embed ready embed-1.1"] * 2),
        (20.0, turn, []),
    )
    assert news(world) == ["update.failed"]
    assert "answer 1 of 3" in why(world)
    assert served(world) == [EMBED]
    assert [one.replica.name for one in world.supervisor._models.workers] == ["embed-1"]


def test_one_that_crashes_once_it_serves_gives_way_to_the_old_one_at_once() -> None:
    world = switched().play(
        (
            5.0,
            exits("embed-2.1", FAULT),
            [
                "frontend.1 <- embed ready (embed-1)",
                TOLD,
                *["frontend.1 <- embed ready embed-1.1"] * 2,
            ],
        ),
        (90.0, turn, []),
    )
    assert news(world) == ["update.switched", "update.rolled_back"]
    assert served(world) == [EMBED]


def test_so_does_one_that_somebody_kills_since_the_old_one_is_loaded() -> None:
    world = switched()
    exits("embed-2.1", KILLED)(world)
    assert news(world) == ["update.switched", "update.rolled_back"]
    assert "start embed-2.2" not in world.done


def test_what_it_died_of_before_it_served_is_no_longer_held_against_it() -> None:
    world = run(EMBED).play(
        (2.0, adds(LARGER), [TOLD, "start embed-2.1"]),
        (2.25, exits("embed-2.1", FAULT), [OLD_ALONE, "start embed-2.2"]),
        (2.5, connects("embed-2.2"), ["embed-2.2 <- load embed on cpu"]),
        (3.0, becomes_ready("embed-2.2"), [OLD_SERVES]),
        (3.25, turn, [TOLD, "frontend.1 <- embed ready (embed-1) embed-2.2"]),
        (63.5, turn, [OLD_LEAVES]),
    )
    assert news(world) == ["update.switched", "update.done"]


def test_one_that_fails_more_requests_than_before_gives_way() -> None:
    world = switched().play(
        (5.0, has_done("embed-2.1", jobs=10, failed=3), []),
        (5.25, turn, [TOLD, OLD_SERVES]),
        (5.5, turn, [NEW_LEAVES]),
        (6.0, exits("embed-2.1", ENDED), ["frontend.1 <- embed ready embed-1.1"]),
    )
    assert "3 of 13 requests failed" in news_of(world)["why"]


def test_one_that_takes_much_longer_gives_way() -> None:
    world = run(EMBED)
    has_done("embed-1.1", jobs=100, work_s=1.0)(world)
    world.play(
        (2.0, adds(LARGER), [TOLD, "start embed-2.1"]),
        (2.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (3.0, becomes_ready("embed-2.1"), [OLD_SERVES]),
        (3.25, turn, [TOLD, NEW_SERVES]),
        (4.0, has_done("embed-2.1", jobs=20, work_s=0.3), []),  # more, but not twice as much
        (5.0, has_done("embed-2.1", jobs=40, work_s=1.0), []),
        (5.25, turn, [TOLD, OLD_SERVES]),
    )


def test_somebody_may_ask_for_the_old_one() -> None:
    switched().play((5.0, rolls_back, [TOLD, OLD_SERVES]), (5.25, turn, [NEW_LEAVES]))


def test_or_give_up_one_that_still_loads() -> None:
    world = run(EMBED).play(
        (2.0, adds(LARGER), [TOLD, "start embed-2.1"]),
        (2.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (2.5, rolls_back, []),
        (2.75, turn, [NEW_LEAVES]),
        (3.0, exits("embed-2.1", ENDED), []),
        (20.0, turn, []),
    )
    assert news(world) == ["update.failed"]
    assert why(world) == "somebody asked for it"
    assert served(world) == [EMBED]


def test_not_once_it_has_ended() -> None:
    with pytest.raises(Conflict, match="no worker from before"):
        run(EMBED).supervisor.roll_back("embed")
    world = switched()
    exits("embed-1.1", FAULT)(world)
    with pytest.raises(Conflict, match="no worker from before"):
        world.supervisor.roll_back("embed")


def test_a_kept_worker_that_dies_is_not_replaced() -> None:
    switched().play(
        (5.0, exits("embed-1.1", FAULT), ["frontend.1 <- embed ready embed-2.1"] * 2),
        (90.0, turn, []),
    )


# --- in the place of the old one -----------------------------------------------------------------


def test_without_room_for_both_the_old_one_ends_before_the_new_one_starts() -> None:
    run(EMBED).play(
        (2.0, adds_alone(LARGER), [TOLD, "frontend.1 <- embed draining (embed-1)"]),
        (2.25, turn, [OLD_LEAVES]),
        (
            3.0,
            exits("embed-1.1", ENDED),
            [
                "frontend.1 <- embed stopped",
                "frontend.1 <- embed starting",
                "start embed-2.1",
                "frontend.1 <- embed starting",
            ],
        ),
        (3.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (4.0, becomes_ready("embed-2.1"), ["frontend.1 <- embed ready embed-2.1"]),
    )


def test_if_that_fails_the_old_one_is_loaded_again() -> None:
    failed = BootFailed(reason="the file is cut off", permanent=True)
    world = run(EMBED)
    adds_alone(LARGER)(world)
    world.turn()
    exits("embed-1.1", ENDED)(world)
    connects("embed-2.1")(world)
    says("embed-2.1", failed)(world)
    world.done.clear()
    exits("embed-2.1", FAULT)(world)
    world.turn()
    assert "start embed-3.1" in world.done
    assert news(world) == ["update.rolled_back"]
    assert served(world) == [EMBED]


# --- what it takes meanwhile ---------------------------------------------------------------------


def test_what_is_kept_counts_until_it_has_ended_and_others_wait_for_its_room() -> None:
    other = msgspec.structs.replace(EMBED, name="other", load="on_demand")
    world = run(EMBED, other, memory_budget_mb=500)
    for spec in (EMBED, other):
        world.footprints[spec.name] = Footprint(
            subject=Subject.of(spec, ""), private_bytes=200 << 20, peak_bytes=None, measured_at=1
        )
    adds(LARGER)(world)
    connects("embed-3.1")(world)
    becomes_ready("embed-3.1")(world)
    world.turn()
    world.done.clear()
    demand = Demand([ModelDemand(name="other", waiting=1, in_hand=0, jobs=1)])
    world.play(
        (2.0, says("frontend.1", demand), []),
        (61.25, turn, [OLD_LEAVES]),
    )
    exits("embed-1.1", ENDED)(world)
    world.turn()
    assert "start embed-2.1" in world.done  # the other model


# --- with all that happens beside ----------------------------------------------------------------


def test_a_second_change_while_the_first_loads_takes_its_place() -> None:
    run(EMBED).play(
        (2.0, adds(LARGER), [TOLD, "start embed-2.1"]),
        (2.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (3.0, adds(LARGEST), [TOLD, "start embed-3.1"]),
        (3.25, turn, [NEW_LEAVES]),
        (3.5, exits("embed-2.1", ENDED), []),
        (3.75, connects("embed-3.1"), ["embed-3.1 <- load embed on cpu"]),
        (4.0, becomes_ready("embed-3.1"), ["frontend.1 <- embed ready embed-1.1 (embed-3)"]),
        (4.25, turn, [TOLD, "frontend.1 <- embed ready (embed-1) embed-3.1"]),
    )


def test_a_second_change_while_the_first_is_watched_ends_who_was_kept() -> None:
    world = switched().play((5.0, adds(LARGEST), [TOLD, "start embed-3.1"]))
    world.play((5.25, turn, [OLD_LEAVES]))


def test_what_is_changed_back_while_it_is_watched_is_served_by_who_was_kept() -> None:
    switched().play((5.0, adds(EMBED), [TOLD, TOLD, OLD_SERVES]))


def test_a_model_that_is_removed_meanwhile_leaves_with_all_its_workers() -> None:
    world = run(EMBED)
    adds(LARGER)(world)
    connects("embed-2.1")(world)
    removes("embed")(world)
    world.supervisor._models.on_left("embed")
    for _ in range(4):
        world.at += 0.25
        world.turn()
    for child in ("embed-1.1", "embed-2.1"):
        assert any(f"{child} <- drain" in one for one in world.done)
        exits(child, ENDED)(world)
    world.turn()
    assert world.supervisor._models.workers == []


def test_a_model_that_is_unloaded_meanwhile_is_the_new_one_when_it_comes_back() -> None:
    demanded = msgspec.structs.replace(EMBED, load="on_demand")
    larger = msgspec.structs.replace(LARGER, load="on_demand")
    world = run(EMBED)
    adds(demanded)(world)
    adds(larger)(world)
    world.supervisor._models.rest("embed")
    world.turn()
    assert served(world) == [demanded]
    for child in list(world.children):
        if child.startswith("embed"):
            exits(child, ENDED)(world)
    world.supervisor._models.wake("embed")
    world.done.clear()
    world.turn()
    assert [one for one in world.done if one.startswith("start embed")]
    assert world.supervisor._models.specs == [larger]


def test_a_frontend_that_dies_before_the_switch_gets_the_old_set_and_then_the_new_one() -> None:
    world = run(EMBED)
    adds(LARGER)(world)
    connects("embed-2.1")(world)
    exits("frontend.1")(world)
    connects("frontend.2")(world)
    assert served(world) == [EMBED]
    becomes_ready("embed-2.1")(world)
    becomes_ready("frontend.2")(world)
    world.turn()
    assert served(world) == [LARGER]
    assert world.published()[0].routes[1].open


def test_a_frontend_that_dies_after_it_gets_the_new_set_at_once() -> None:
    world = switched()
    exits("frontend.1")(world)
    connects("frontend.2")(world)
    serve = [one for one in world.sent if isinstance(one, Serve)][-1]
    assert serve.specs == [LARGER]


def test_a_stop_of_the_server_ends_all_generations() -> None:
    switched().play(
        (6.0, stop, ["systemd: STOPPING=1, STATUS=draining", "frontend.1 <- drain within 30 s"]),
        (
            7.0,
            exits("frontend.1", ENDED),
            [
                "embed-1.1 <- abandon the jobs of frontend.1",
                "embed-2.1 <- abandon the jobs of frontend.1",
                "embed-1.1 <- drain within 1 s",
                "embed-2.1 <- drain within 1 s",
            ],
        ),
        (7.25, exits("embed-1.1", ENDED), []),
        (7.25, exits("embed-2.1", ENDED), ["end"]),
    )
