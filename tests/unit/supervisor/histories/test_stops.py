"""The frontend's death, and everybody's end."""

from __future__ import annotations

from ipc.messages.control import BootFailed
from supervisor.run_dir import InUseError
from tests.unit.supervisor.histories.world import (
    EMBED,
    ENDED,
    World,
    becomes_ready,
    begin,
    connects,
    exits,
    run,
    says,
    stop,
    turn,
    works,
)

STOPPING = "systemd: STOPPING=1, STATUS=draining"


# --- the frontend dies ---


def test_a_frontend_that_dies_is_replaced_at_once_and_told_what_there_is() -> None:
    run(EMBED).play(
        (
            5.0,
            exits("frontend.1"),
            ["embed-1.1 <- abandon the jobs of frontend.1", "start frontend.2"],
        ),
        (5.25, connects("frontend.2"), ["frontend.2 <- serve embed"]),
        (
            6.0,
            becomes_ready("frontend.2"),
            [
                "frontend.2 <- embed ready embed-1.1",
                "systemd: READY=1",
            ],
        ),
    )


def test_a_frontend_that_keeps_dying_is_started_without_end_while_models_stay_loaded() -> None:
    world = run(EMBED)
    waits = []
    for generation in range(1, 10):
        ended_at = world.at
        exits(f"frontend.{generation}")(world)
        while f"frontend.{generation + 1}" not in world.children:
            world.at += 0.25
            world.turn()
        waits.append(world.at - ended_at)
    assert waits == [0, 1, 2, 4, 8, 16, 30, 30, 30]
    assert not world.supervisor.failed
    assert "start embed-1.2" not in world.done


def test_systemd_is_told_that_nobody_answers_clients() -> None:
    world = run(EMBED)
    for generation in (1, 2):
        exits(f"frontend.{generation}")(world)
    assert world.statuses[-1] == (
        "nobody answers clients, the frontend keeps failing (killed by SIGSEGV); "
        "tried again without end, 1 models stay loaded"
    )


def test_a_frontend_that_cannot_start_is_the_end() -> None:
    taken = BootFailed(reason="the certificate cannot be read", permanent=True)
    world = World(EMBED).play(
        (0.0, begin, ["start frontend.1", "start embed-1.1"]),
        (0.25, connects("frontend.1"), ["frontend.1 <- serve embed"]),
        (0.5, says("frontend.1", taken), ["frontend.1 <- noted"]),
        # The worker has not said hello yet, so it cannot be asked.
        (0.5, exits("frontend.1", ENDED), [STOPPING, "SIGTERM to embed-1.1"]),
        (1.0, exits("embed-1.1", ENDED), ["end"]),
    )
    assert world.supervisor.failed


# --- everybody's end ---


def test_a_stop_drains_the_frontend_first_and_the_workers_when_it_has_gone() -> None:
    world = run(EMBED).play(
        (5.0, stop, [STOPPING, "frontend.1 <- drain within 30 s"]),
        (15.0, works("embed-1.1", progress=1), []),
        (
            20.0,
            exits("frontend.1", ENDED),
            ["embed-1.1 <- abandon the jobs of frontend.1", "embed-1.1 <- drain within 1 s"],
        ),
        (20.5, exits("embed-1.1", ENDED), ["end"]),
    )
    assert not world.supervisor.failed


def test_who_does_not_end_when_asked_is_ended_step_by_step() -> None:
    run(EMBED).play(
        (5.0, stop, [STOPPING, "frontend.1 <- drain within 30 s"]),
        # The frontend has three seconds more than its clients, to tell them.
        (38.0, turn, ["SIGTERM to frontend.1"]),
        (48.0, turn, ["SIGABRT to frontend.1"]),
        (49.0, turn, ["SIGKILL to frontend.1"]),
        (
            49.25,
            exits("frontend.1", ENDED),
            ["embed-1.1 <- abandon the jobs of frontend.1", "embed-1.1 <- drain within 1 s"],
        ),
        (50.25, turn, ["SIGTERM to embed-1.1"]),
        (60.25, turn, ["SIGABRT to embed-1.1"]),
        (61.25, turn, ["SIGKILL to embed-1.1"]),
        (61.5, exits("embed-1.1", ENDED), ["end"]),
    )


def test_a_second_stop_waits_for_nobody() -> None:
    run(EMBED).play(
        (5.0, stop, [STOPPING, "frontend.1 <- drain within 30 s"]),
        (6.0, stop, [STOPPING, "frontend.1 <- drain within 0 s"]),
        (9.0, turn, ["SIGTERM to frontend.1"]),
    )


def test_a_worker_that_dies_while_the_frontend_drains_is_replaced_for_what_is_still_queued() -> (
    None
):
    run(EMBED).play(
        (5.0, stop, [STOPPING, "frontend.1 <- drain within 30 s"]),
        (
            6.0,
            exits("embed-1.1"),
            ["frontend.1 <- embed backoff", "frontend.1 <- embed starting", "start embed-1.2"],
        ),
        (7.0, exits("frontend.1", ENDED), ["SIGTERM to embed-1.2"]),
        (7.25, exits("embed-1.2"), ["end"]),
    )


def test_who_becomes_ready_during_a_stop_is_no_news_for_systemd() -> None:
    world = World(EMBED)
    begin(world)
    connects("frontend.1")(world)
    stop(world)
    world.done.clear()
    becomes_ready("embed-1.1")(world)
    assert world.done == []


def test_who_waits_for_its_next_start_is_not_waited_for() -> None:
    world = run(EMBED)
    for generation in (1, 2):
        exits(f"embed-1.{generation}")(world)
    world.done.clear()
    world.play(
        (1.0, stop, [STOPPING, "frontend.1 <- drain within 30 s"]),
        (1.25, exits("frontend.1", ENDED), ["end"]),
    )
    assert "embed-1.3" not in world.children


# --- systemd's watchdog and the run folder ---


def test_each_turn_of_the_timers_is_a_sign_of_life() -> None:
    world = run(EMBED)
    before = world.pings
    world.play((6.0, turn, []))
    assert world.pings == before + 20


def lose_sockets(world: World) -> None:
    world.sockets_lost = True


def test_a_run_folder_that_has_gone_is_made_again() -> None:
    run(EMBED).play(
        (5.0, lose_sockets, []),
        (5.5, turn, ["restore sockets"]),
        (60.0, turn, []),
    )


def test_where_it_cannot_be_made_again_for_five_seconds_that_is_the_end() -> None:
    world = run(EMBED)
    world.cannot_restore = PermissionError("not private")
    lose_sockets(world)
    rows = [(at + 0.5, turn, ["restore sockets"]) for at in range(1, 6)]
    world.play(*rows, (6.5, turn, ["restore sockets", STOPPING, "frontend.1 <- drain within 30 s"]))
    assert world.supervisor.failed
    world.play((8.0, turn, []))


def test_where_another_server_has_been_faster_that_is_the_end_at_once() -> None:
    world = run(EMBED)
    world.cannot_restore = InUseError("another edge-serve runs there")
    lose_sockets(world)
    world.play(
        (1.5, turn, ["restore sockets", STOPPING, "frontend.1 <- drain within 30 s"]),
    )
    assert world.supervisor.failed


def test_a_failure_to_make_it_again_is_forgotten_with_the_first_success() -> None:
    world = run(EMBED)

    def fails(world: World) -> None:
        world.sockets_lost, world.cannot_restore = True, PermissionError("not private")

    def passes(world: World) -> None:
        world.cannot_restore = None

    rows = [(at + 0.5, turn, ["restore sockets"]) for at in range(2, 6)]
    later = [(at + 0.5, turn, ["restore sockets"]) for at in range(8, 13)]
    world.play(
        (2.0, fails, []), *rows, (6.0, passes, []), (6.5, turn, ["restore sockets"]),
        (8.0, fails, []), *later,
    )  # fmt: skip
    assert not world.supervisor.failed
