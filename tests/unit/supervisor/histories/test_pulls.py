"""Pulls as children of the supervisor: what is started, told, kept, and who joins."""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.messages.admin import (
    ControlPull,
    EstimatePull,
    GetPull,
    ListPulls,
    RemoveModel,
    StartPull,
)
from ipc.messages.spec import Spec
from supervisor.children.process import Exit
from supervisor.plan import Reading
from supervisor.pulls.lines import (
    Line,
    Looked,
    NotPulled,
    NotRemoved,
    Progressed,
    Pulled,
    Removed,
    written,
)
from supervisor.state.pull_book import Book, Job
from tests.unit.supervisor.histories.world import (
    EMBED,
    ENDED,
    Happens,
    World,
    reads,
    refused,
    run,
    stop,
    told,
    turn,
    wishes,
)

SOURCE = "hf:acme/one"
PULL = f"pull --progress json --serve -- {SOURCE}"
LOOK = f"pull --dry-run --progress json -- {SOURCE}"
SPEC = Spec(name="acme/one", task="chat", engine="echo", path="")
LOOKED = Looked(model="acme/one", task="chat", engine="echo", device="cpu", fetch_bytes=10)
PULLED = Pulled(model="acme/one", path="/one", spec=SPEC, weights="abc")
ANSWER = "frontend.1 <- told 1"


def says(command: str, *lines: Line | str) -> Happens:
    def happens(world: World) -> None:
        for line in lines:
            world.lines[command](line if isinstance(line, str) else written(line))

    return happens


def ends(command: str, end: Exit = ENDED) -> Happens:
    def happens(world: World) -> None:
        world.children.pop(command).on_exit(end)

    return happens


def progress(done: int) -> Progressed:
    return Progressed(model="acme/one", doing=SOURCE, done_bytes=done, total_bytes=100)


def states(world: World) -> list[str]:
    """Those that events have told of pulls."""
    return [one.facts["state"] for one in world.events if one.type == "pull.progress"]


def test_a_pull_is_a_child_and_its_model_joins_on_demand() -> None:
    world = run(EMBED).play(
        (5.0, wishes(StartPull(source=SOURCE)), [f"run {PULL}", ANSWER]),
        (6.0, says(PULL, LOOKED, PULLED), []),
        (7.0, ends(PULL), ["frontend.1 <- models embed acme/one"]),
        (7.25, turn, ["frontend.1 <- embed ready embed-1.1, acme/one unloaded"]),
    )
    assert states(world) == ["waiting", "running", "finished"]
    assert world.weights == {"acme/one": "abc"}
    assert [one.load for one in world.supervisor._models.specs] == ["always", "on_demand"]


def test_one_that_is_not_to_serve_joins_nothing() -> None:
    only = PULL.replace(" --serve", "")
    run(EMBED).play(
        (5.0, wishes(StartPull(source=SOURCE, serve=False)), [f"run {only}", ANSWER]),
        (6.0, says(only, PULLED), []),
        (7.0, ends(only), []),
    )


def test_a_reading_from_before_a_model_joined_does_not_end_it_and_the_next_one_may() -> None:
    world = run(EMBED)
    world.play(
        (5.0, wishes(StartPull(source=SOURCE)), [f"run {PULL}", ANSWER]),
        (6.0, says(PULL, LOOKED, PULLED), []),
        (6.5, lambda world: world.supervisor.reload(), ["start reading-1"]),
        (7.0, ends(PULL), ["frontend.1 <- models embed acme/one"]),
        (7.25, turn, ["frontend.1 <- embed ready embed-1.1, acme/one unloaded"]),
        (7.5, reads("reading-1", Reading(plan=world.plan)), []),
        (8.0, lambda world: world.supervisor.reload(), ["start reading-2"]),
        (
            8.5,
            reads("reading-2", Reading(plan=world.plan)),
            [
                "frontend.1 <- models embed",
                "frontend.1 <- embed ready embed-1.1, acme/one stopped",
            ],
        ),
    )


def test_progress_is_told_each_second_at_most() -> None:
    world = run(EMBED).play(
        (5.0, wishes(StartPull(source=SOURCE)), [f"run {PULL}", ANSWER]),
        (6.0, says(PULL, LOOKED, progress(10), progress(20)), []),
        (6.5, says(PULL, progress(30)), []),
        (7.0, says(PULL, progress(40)), []),
    )
    done = [one.facts["done_bytes"] for one in world.events if one.type == "pull.progress"]
    assert done == [0, 0, 40]


def test_an_operator_asks_how_it_stands() -> None:
    world = run(EMBED).play(
        (5.0, wishes(StartPull(source=SOURCE)), [f"run {PULL}", ANSWER]),
        (6.0, says(PULL, LOOKED, progress(10)), []),
        (7.0, wishes(GetPull("pull-1")), [ANSWER]),
    )
    assert told(world)["done_bytes"] == 10
    assert told(world)["looked"]["fetch_bytes"] == 10
    world.play((8.0, wishes(ListPulls()), [ANSWER]))
    assert [one["id"] for one in told(world)["pulls"]] == ["pull-1"]


def test_an_estimate_is_answered_when_it_is_known() -> None:
    world = run(EMBED).play(
        (5.0, wishes(EstimatePull(SOURCE)), [f"run {LOOK}"]),
        (6.0, says(LOOK, LOOKED), []),
        (6.5, ends(LOOK), [ANSWER]),
    )
    assert told(world)["fetch_bytes"] == 10
    assert world.pulls.jobs == []


def test_an_estimate_that_cannot_be_made_is_refused_by_words() -> None:
    world = run(EMBED).play(
        (5.0, wishes(EstimatePull(SOURCE)), [f"run {LOOK}"]),
        (6.0, says(LOOK, NotPulled(model=SOURCE, error="does not exist")), []),
        (6.5, ends(LOOK, Exit("exited with status 1")), [ANSWER]),
    )
    assert (refused(world).status, str(refused(world))) == (400, "does not exist")


def test_an_estimate_that_the_network_keeps_from_being_made_may_be_asked_for_again() -> None:
    away = NotPulled(model=SOURCE, error="Connection refused", unreached=True)
    world = run(EMBED).play(
        (5.0, wishes(EstimatePull(SOURCE)), [f"run {LOOK}"]),
        (6.0, says(LOOK, away), []),
        (6.5, ends(LOOK, Exit("exited with status 1")), [ANSWER]),
    )
    assert (refused(world).status, str(refused(world))) == (503, "Connection refused")
    assert refused(world).retry_after_s


REMOVE = "rm --force --progress json -- embed"


def test_a_model_that_is_removed_leaves_once_its_files_are_gone() -> None:
    world = run(EMBED)
    world.play(
        (5.0, wishes(RemoveModel("embed")), [f"run {REMOVE}"]),
        (6.0, says(REMOVE, Removed(model="embed", bytes=7)), []),
        (
            6.5,
            ends(REMOVE),
            ["frontend.1 <- models ", ANSWER],
        ),
    )
    assert told(world)["bytes"] == 7
    assert world.supervisor._models.leaving == {"embed"}


def test_a_model_that_cannot_be_removed_stays() -> None:
    why = "embed: another process is pulling it; end that first"
    world = run(EMBED).play(
        (5.0, wishes(RemoveModel("embed")), [f"run {REMOVE}"]),
        (6.0, says(REMOVE, NotRemoved(model="embed", error=why)), []),
        (6.5, ends(REMOVE, Exit("exited with status 1")), [ANSWER]),
    )
    assert (refused(world).status, str(refused(world))) == (409, why)
    assert not world.supervisor._models.leaving


def test_a_crash_is_told_with_its_last_words() -> None:
    world = run(EMBED).play(
        (5.0, wishes(StartPull(source=SOURCE)), [f"run {PULL}", ANSWER]),
        (6.0, says(PULL, "Killed: out of memory"), []),
        (7.0, ends(PULL, Exit("killed by SIGKILL")), []),
        (8.0, wishes(GetPull("pull-1")), [ANSWER]),
    )
    assert told(world)["error"] == "killed by SIGKILL: Killed: out of memory"
    assert world.pulls.jobs[0].state == "failed"


def test_one_that_cannot_be_started_has_failed() -> None:
    def no_processes(world: World) -> None:
        world.cannot_start = OSError(11, "Resource temporarily unavailable")
        wishes(StartPull(source=SOURCE))(world)

    world = run(EMBED).play((5.0, no_processes, [ANSWER]))
    assert world.pulls.jobs[0].error == "could not be started: Resource temporarily unavailable"


def test_pause_resume_and_cancel() -> None:
    run(EMBED).play(
        (5.0, wishes(StartPull(source=SOURCE)), [f"run {PULL}", ANSWER]),
        (6.0, says(PULL, LOOKED), []),
        (7.0, wishes(ControlPull("pull-1", "pause")), ["SIGTERM to pull-1", ANSWER]),
        (7.5, ends(PULL), []),
        (8.0, wishes(ControlPull("pull-1", "resume")), [f"run {PULL}", ANSWER]),
        (9.0, wishes(ControlPull("pull-1", "cancel")), ["SIGTERM to pull-1", ANSWER]),
        (9.5, ends(PULL), ["run rm --partial -- acme/one"]),
    )


def test_what_an_earlier_server_has_left_goes_on() -> None:
    world = World(EMBED)
    world.pulls = Book(
        count=2,
        jobs=[
            Job(id="pull-1", source=SOURCE, created_at=1.0, state="running"),
            Job(id="pull-2", source="hf:acme/two", created_at=1.0, state="paused"),
        ],
    )
    world.supervisor.begin()
    world.supervisor.tick()
    assert f"run {PULL}" in world.done
    assert not any("acme/two" in done for done in world.done)


def test_a_server_that_ends_ends_them_and_keeps_that_they_ran() -> None:
    world = run(EMBED).play(
        (5.0, wishes(StartPull(source=SOURCE)), [f"run {PULL}", ANSWER]),
    )
    stop(world)
    assert "SIGTERM to pull-1" in world.done
    assert world.pulls.jobs[0].state == "waiting"
    ends(PULL, Exit("killed by SIGTERM"))(world)
    assert world.pulls.jobs[0].state == "waiting"


def test_commands_get_what_the_server_was_started_with() -> None:
    env = {"EDGE_SERVE_CONFIG": "/own.yaml", "HF_HUB_OFFLINE": ""}
    world = run(EMBED, command_env=env).play(
        (5.0, wishes(StartPull(source=SOURCE)), [f"run {PULL}", ANSWER]),
    )
    assert world.children[PULL].env == env


def test_a_pull_is_none_of_the_orphans() -> None:
    world = run(EMBED).play(
        (5.0, wishes(StartPull(source=SOURCE)), [f"run {PULL}", ANSWER]),
        (5.25, turn, []),
    )
    assert world.children[PULL].pid in world.orphans.own


def facts(line: Line) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(written(line))
    return found


def test_a_line_says_what_it_is() -> None:
    assert facts(LOOKED)["event"] == "looked"
    assert facts(progress(1))["event"] == "progress"
