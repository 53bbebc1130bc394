"""Another configuration for a server that runs: read by another process, then taken over."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ipc.messages.admin import Ask, Reload, Told
from ipc.messages.control import AccessConfig, Reconfigure
from ipc.messages.keys import ApiKey
from ipc.messages.spec import Spec
from supervisor.plan import Plan, Reading
from tests.unit.supervisor.histories.world import (
    CHAT,
    EMBED,
    ENDED,
    FAULT,
    Happens,
    World,
    becomes_ready,
    connects,
    exits,
    reads,
    run,
    says,
    stop,
    turn,
    works,
)

LARGER = msgspec.structs.replace(EMBED, slots=32)
ALIASED: dict[str, Any] = {"aliases": {"short": "embed"}}
READS = ["start reading-1"]
SERVES = "frontend.1 <- embed ready embed-1.1"


def reloads(world: World) -> None:
    world.supervisor.reload()


def asks(number: int, **wish: Any) -> Happens:
    return says("frontend.1", Ask(number, Reload(**wish)))


def found(world: World, *specs: Spec, **changes: Any) -> Reading:
    """What is read where these are the models, and the rest of the plan is otherwise like this."""
    of_serve = {name: changes.pop(name) for name in ("aliases", "gate") if name in changes}
    missing = changes.pop("missing", {})
    serve = msgspec.structs.replace(world.plan.serve, specs=list(specs), **of_serve)
    plan: Plan = msgspec.structs.replace(world.plan, serve=serve, **changes)
    return Reading(plan=plan, missing=missing)


def answer(world: World, number: int) -> dict[str, Any]:
    (told,) = (one for one in world.sent if isinstance(one, Told) and one.id == number)
    assert told.error is None, told.error
    return told.report or {}


def refusal(world: World, number: int) -> str:
    (told,) = (one for one in world.sent if isinstance(one, Told) and one.id == number)
    assert told.error is not None
    return told.error.message


def events(world: World) -> list[str]:
    return [one.type for one in world.events if one.type.startswith("config")]


# --- what changes --------------------------------------------------------------------------------


def test_what_is_as_it_was_restarts_nobody() -> None:
    world = run(EMBED, CHAT)
    world.play(
        (2.0, reloads, READS),
        (3.0, reads("reading-1", found(world, CHAT, EMBED)), []),  # order means nothing
        (20.0, turn, []),
    )
    assert events(world) == ["config.reloaded"]


def test_what_is_new_joins_what_is_missing_leaves_what_is_otherwise_is_updated() -> None:
    world = run(EMBED, CHAT)
    speech = msgspec.structs.replace(EMBED, name="speech", task="speech")
    world.play(
        (2.0, asks(7), READS),
        (
            3.0,
            reads("reading-1", found(world, LARGER, speech)),
            [
                "frontend.1 <- models embed",
                "frontend.1 <- models embed",
                "start embed-2.1",
                "frontend.1 <- models embed speech",
                "frontend.1 <- embed ready embed-1.1, chat ready chat-1.1, speech starting",
                "start speech-1.1",
                "frontend.1 <- told 7",
            ],
        ),
    )
    report = answer(world, 7)
    assert (report["added"], report["removed"]) == (["speech"], ["chat"])
    assert report["updated"] == {"embed": ["slots"]}


def test_limits_and_keys_change_without_a_restart() -> None:
    world = run(EMBED)
    shorter = msgspec.structs.replace(EMBED, queue_limit=3, engine_why="measured again")
    gate = AccessConfig(api_keys={"ann": ApiKey.of("s3cret", "admin")})
    world.play(
        (2.0, asks(7), READS),
        (
            3.0,
            reads("reading-1", found(world, shorter, gate=gate, **ALIASED)),
            ["frontend.1 <- models embed", "frontend.1 <- reconfigure", "frontend.1 <- told 7"],
        ),
        (20.0, turn, []),
    )
    (told,) = (one for one in world.sent if isinstance(one, Reconfigure))
    assert (told.serve.gate, told.serve.aliases) == (gate, {"short": "embed"})
    assert told.serve.specs == [shorter]
    report = answer(world, 7)
    assert set(report["adjusted"]["embed"]) == {"queue_limit", "engine_why"}
    assert report["settings"] == ["ALIASES", "API_KEYS"]


def test_what_needs_a_restart_is_named_and_left_as_it_was() -> None:
    world = run(EMBED)
    gate = AccessConfig(ssl_certfile="/other.pem", max_connections=9)
    world.play(
        (2.0, asks(7), READS),
        (
            3.0,
            reads("reading-1", found(world, EMBED, host="0.0.0.0", port=9, gate=gate)),
            ["frontend.1 <- told 7"],
        ),
    )
    report = answer(world, 7)
    assert report["restart"] == ["HOST", "MAX_CONNECTIONS", "PORT", "SSL_CERTFILE"]
    assert world.supervisor._plan.now.port == 8000
    assert world.supervisor._plan.now.serve.gate.ssl_certfile is None


def test_one_model_alone_may_be_updated() -> None:
    world = run(EMBED, CHAT)
    bigger = msgspec.structs.replace(CHAT, slots=3)
    world.play(
        (2.0, asks(7, model="embed"), READS),
        (
            3.0,
            reads("reading-1", found(world, LARGER, bigger, port=9, **ALIASED)),
            ["frontend.1 <- models embed chat", "start embed-2.1", "frontend.1 <- told 7"],
        ),
    )
    report = answer(world, 7)
    assert (report["updated"], report["settings"]) == ({"embed": ["slots"]}, [])


def test_a_model_that_nobody_knows_cannot_be_updated() -> None:
    world = run(EMBED)
    world.play(
        (2.0, asks(7, model="no"), READS),
        (3.0, reads("reading-1", found(world, EMBED)), ["frontend.1 <- told 7"]),
    )
    assert "neither this server nor its catalog has 'no'" in refusal(world, 7)


def test_a_dry_run_tells_and_does_nothing() -> None:
    world = run(EMBED)
    world.play(
        (2.0, asks(7, dry_run=True), READS),
        (3.0, reads("reading-1", found(world, LARGER, CHAT)), ["frontend.1 <- told 7"]),
        (20.0, turn, []),
    )
    report = answer(world, 7)
    assert report["dry_run"]
    assert (report["added"], report["updated"]) == (["chat"], {"embed": ["slots"]})
    assert events(world) == []


# --- what is wrong -------------------------------------------------------------------------------


def test_a_wrong_file_changes_nothing() -> None:
    world = run(EMBED)
    wrong = Reading(error="own.yaml, line 3: not YAML: could not find expected ':'")
    world.play(
        (2.0, asks(7), READS),
        (3.0, reads("reading-1", wrong), ["frontend.1 <- told 7"]),
        (20.0, turn, []),
    )
    assert refusal(world, 7).startswith("own.yaml, line 3: not YAML")
    assert "nothing has changed" in refusal(world, 7)
    assert events(world) == ["config.refused"]


@pytest.mark.parametrize("end", [ENDED, FAULT])
def test_a_reader_that_leaves_nothing_changes_nothing(end: Any) -> None:
    world = run(EMBED).play(
        (2.0, asks(7), READS), (3.0, exits("reading-1", end), ["frontend.1 <- told 7"])
    )
    assert end.reason in refusal(world, 7)


def test_one_that_takes_too_long_is_killed_and_that_is_what_is_told() -> None:
    world = run(EMBED).play(
        (2.0, asks(7), READS),
        (122.0, turn, ["SIGKILL to reading-1"]),
        (122.0, exits("reading-1", FAULT), ["frontend.1 <- told 7"]),
    )
    assert "could not be read within 120 s" in refusal(world, 7)
    assert FAULT.reason not in refusal(world, 7)


def test_one_that_cannot_be_started_is_told() -> None:
    world = run(EMBED)
    world.cannot_start = OSError(11, "Resource temporarily unavailable")
    world.play((2.0, asks(7), ["frontend.1 <- told 7"]))
    assert "Resource temporarily unavailable" in refusal(world, 7)


# --- room ----------------------------------------------------------------------------------------

HEAVY = msgspec.structs.replace(LARGER, memory_mb=5000)


def test_without_room_for_both_a_model_stays_as_it_is_and_that_is_told() -> None:
    world = run(EMBED)
    world.play(
        (2.0, asks(7), READS),
        (3.0, reads("reading-1", found(world, HEAVY)), ["frontend.1 <- told 7"]),
        (20.0, turn, []),
    )
    report = answer(world, 7)
    assert (report["downtime"], report["left"]) == (["embed"], ["embed"])


def test_with_leave_the_old_one_ends_first() -> None:
    world = run(EMBED)
    world.play(
        (2.0, asks(7, downtime=True), READS),
        (
            3.0,
            reads("reading-1", found(world, HEAVY)),
            [
                "frontend.1 <- models embed",
                "frontend.1 <- embed draining (embed-1)",
                "frontend.1 <- told 7",
            ],
        ),
        (3.25, turn, ["embed-1.1 <- drain within 600 s"]),
    )
    assert answer(world, 7)["downtime"] == ["embed"]


# --- files that are not here ---------------------------------------------------------------------


def test_what_is_missing_is_fetched_and_then_served() -> None:
    world = run(EMBED)
    lacking = found(world, EMBED, missing={"chat": "its files are not here"})
    world.play(
        (2.0, asks(7), READS),
        (
            3.0,
            reads("reading-1", lacking),
            [
                "frontend.1 <- embed ready embed-1.1, chat failed",
                "start reading-2 chat",
                "frontend.1 <- told 7",
            ],
        ),
        (600.0, reads("reading-2", Reading()), ["start reading-3"]),
        (
            601.0,
            reads("reading-3", found(world, EMBED, CHAT)),
            [
                "frontend.1 <- models embed chat",
                "frontend.1 <- embed ready embed-1.1, chat starting",
                "start chat-1.1",
            ],
        ),
    )
    assert answer(world, 7)["fetched"] == ["chat"]


def test_what_cannot_be_fetched_is_not_tried_for_ever() -> None:
    world = run(EMBED)
    lacking = found(world, EMBED, missing={"chat": "its files are not here"})
    world.play(
        (2.0, reloads, READS),
        (
            3.0,
            reads("reading-1", lacking),
            ["frontend.1 <- embed ready embed-1.1, chat failed", "start reading-2 chat"],
        ),
        (4.0, reads("reading-2", Reading(missing={"chat": "no network"})), ["start reading-3"]),
        (5.0, reads("reading-3", lacking), ["frontend.1 <- embed ready embed-1.1, chat failed"]),
        (60.0, turn, []),
    )
    assert events(world) == ["config.reloaded", "config.fetched", "config.reloaded"]


def test_a_model_whose_new_files_are_missing_serves_by_the_old_ones() -> None:
    world = run(EMBED)
    lacking = found(world, missing={"embed": "its files are not here"})
    world.play((2.0, reloads, READS), (3.0, reads("reading-1", lacking), ["start reading-2 embed"]))
    assert [one.name for one in world.supervisor._models.specs] == ["embed"]


# --- with all that happens beside ----------------------------------------------------------------


def test_who_asks_while_the_files_are_read_waits_for_the_next_reading() -> None:
    world = run(EMBED)
    world.play(
        (2.0, asks(7), READS),
        (2.5, asks(8), []),
        (2.75, asks(9, dry_run=True), []),
        (3.0, reads("reading-1", found(world, EMBED)), ["frontend.1 <- told 7", "start reading-2"]),
        (
            4.0,
            reads("reading-2", found(world, LARGER)),
            [
                "frontend.1 <- models embed",
                "start embed-2.1",
                "frontend.1 <- told 8",
                "frontend.1 <- told 9",
            ],
        ),
    )
    assert answer(world, 7)["updated"] == {}
    assert answer(world, 8)["updated"] == {"embed": ["slots"]}


def test_too_many_who_ask_are_refused() -> None:
    world = run(EMBED)
    for number in range(70):
        asks(number)(world)
    assert "being read again" in refusal(world, 69)


def test_a_reload_amid_a_request_lets_the_old_worker_finish_it() -> None:
    world = run(EMBED)
    world.play(
        (2.0, works("embed-1.1", progress=1), []),
        (2.25, reloads, READS),
        (
            3.0,
            reads("reading-1", found(world, LARGER)),
            ["frontend.1 <- models embed", "start embed-2.1"],
        ),
        (3.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (4.0, becomes_ready("embed-2.1"), ["frontend.1 <- embed ready embed-1.1 (embed-2)"]),
        (
            4.25,
            turn,
            ["frontend.1 <- models embed", "frontend.1 <- embed ready (embed-1) embed-2.1"],
        ),
    )
    assert "embed-1.1" in world.children  # and nobody has asked it to drain


def test_a_reload_while_a_model_loads_takes_the_new_one() -> None:
    world = World(EMBED)
    world.supervisor.begin()
    connects("frontend.1")(world)
    connects("embed-1.1")(world)
    becomes_ready("frontend.1")(world)
    world.done.clear()
    world.play(
        (2.0, reloads, READS),
        (
            3.0,
            reads("reading-1", found(world, LARGER)),
            ["frontend.1 <- models embed", "start embed-2.1"],
        ),
    )


def test_a_reload_after_a_crash_is_an_update_like_any_other() -> None:
    world = run(EMBED)
    for generation in (1, 2):
        exits(f"embed-1.{generation}")(world)
    world.done.clear()
    world.play(
        (1.0, reloads, READS),
        (
            1.25,
            reads("reading-1", found(world, LARGER)),
            [
                "frontend.1 <- models embed",
                "frontend.1 <- embed starting",
                "start embed-2.1",
            ],
        ),
        (1.5, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
    )


def test_a_model_that_is_unloaded_takes_the_new_spec_without_being_loaded() -> None:
    asleep = msgspec.structs.replace(EMBED, load="on_demand")
    world = run(asleep, CHAT)
    world.play(
        (2.0, reloads, READS),
        (
            3.0,
            reads("reading-1", found(world, msgspec.structs.replace(asleep, slots=32), CHAT)),
            [
                "frontend.1 <- models embed chat",
                "frontend.1 <- chat ready chat-1.1, embed unloaded",
            ],
        ),
        (20.0, turn, []),
    )
    assert world.supervisor._models.specs[0].slots == 32


def test_a_frontend_that_dies_meanwhile_leaves_nobody_to_answer_and_the_change_is_made() -> None:
    world = run(EMBED)
    world.play(
        (2.0, asks(7), READS),
        (
            2.25,
            exits("frontend.1"),
            ["embed-1.1 <- abandon the jobs of frontend.1", "start frontend.2"],
        ),
        (2.5, connects("frontend.2"), ["frontend.2 <- serve embed"]),
        (
            3.0,
            reads("reading-1", found(world, LARGER, **ALIASED)),
            ["frontend.2 <- models embed", "start embed-2.1", "frontend.2 <- reconfigure"],
        ),
    )


def test_a_frontend_that_starts_meanwhile_gets_the_new_settings_with_its_first_word() -> None:
    world = run(EMBED)
    world.play(
        (2.0, reloads, READS),
        (
            2.25,
            exits("frontend.1"),
            ["embed-1.1 <- abandon the jobs of frontend.1", "start frontend.2"],
        ),
        (3.0, reads("reading-1", found(world, EMBED, **ALIASED)), []),
        (4.0, connects("frontend.2"), ["frontend.2 <- serve embed"]),
    )
    serve = world.sent[-1]
    assert getattr(serve, "aliases", None) == {"short": "embed"}


def test_a_stop_ends_the_reading_and_nothing_is_taken_over() -> None:
    world = run(EMBED)
    world.play(
        (2.0, reloads, READS),
        (
            2.25,
            stop,
            [
                "SIGKILL to reading-1",
                "systemd: STOPPING=1, STATUS=draining",
                "frontend.1 <- drain within 30 s",
            ],
        ),
        (2.5, reads("reading-1", found(world, LARGER)), []),
        (2.75, reloads, []),
    )
    assert SERVES.startswith("frontend.1")


def test_the_reader_is_spared_when_what_a_worker_left_is_swept() -> None:
    world = run(EMBED).play((2.0, reloads, READS), (3.0, turn, []))
    assert world.children["reading-1"].pid in world.orphans.own
