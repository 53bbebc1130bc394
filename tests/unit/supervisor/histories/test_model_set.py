"""Models that join, leave and change while the server runs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ipc.messages.admin import Ask, GetHealth
from ipc.messages.control import Left, Serve, Start
from supervisor.children.cgroup import Tree
from tests.unit.supervisor.histories.world import (
    CHAT,
    EMBED,
    ENDED,
    World,
    adds,
    becomes_ready,
    begin,
    connects,
    exits,
    left,
    removes,
    run,
    says,
    stop,
    told,
    turn,
    works,
)

SPEECH = msgspec.structs.replace(EMBED, name="speech", task="speech")
# Queued for a minute and worked on for ten: so long its workers stay without a word.
PATIENCE_S = EMBED.queue_timeout_s + EMBED.request_timeout_s
LEAVES = ["frontend.1 <- models chat"]
BOTH = "frontend.1 <- chat ready chat-1.1, embed ready embed-1.1"
WITHOUT = ["frontend.1 <- chat ready chat-1.1"]
DRAINS = ["embed-1.1 <- drain within 30 s"]


def models(world: World) -> list[str]:
    """Those that /health tells of, in brackets those that leave."""
    says("frontend.1", Ask(1, GetHealth()))(world)
    world.done.clear()
    found = told(world)["models"]
    return [f"({one['name']})" if one.get("leaving") else one["name"] for one in found]


def shows_leaving(world: World) -> None:
    assert models(world) == ["chat", "(embed)"]


# --- joining ---


def test_a_model_that_joins_is_told_of_and_started_like_those_of_the_start() -> None:
    world = run(CHAT).play(
        (
            5.0,
            adds(msgspec.structs.replace(EMBED, replicas=2)),
            [
                "frontend.1 <- models chat embed",
                "frontend.1 <- chat ready chat-1.1, embed starting",
                "start embed-1.1",
                "start embed-2.1",
            ],
        ),
        (5.25, connects("embed-1.1"), ["embed-1.1 <- load embed on cpu"]),
        (5.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (
            6.0,
            becomes_ready("embed-1.1"),
            [
                "frontend.1 <- chat ready chat-1.1, embed ready embed-1.1",
            ],
        ),
    )
    assert models(world) == ["chat", "embed"]


def test_one_that_was_unavailable_is_so_no_more() -> None:
    world = run(CHAT, unavailable={"embed": "no network"})
    assert models(world) == ["chat", "embed"]
    adds(EMBED)(world)
    assert models(world) == ["chat", "embed"]
    world.play((2.0, turn, []))


def test_one_that_is_added_as_it_is_changes_nothing() -> None:
    run(CHAT, EMBED).play((5.0, adds(EMBED), ["frontend.1 <- models chat embed"]))


def test_no_worker_has_the_name_of_one_that_there_was() -> None:
    run(CHAT, EMBED).play(
        (5.0, removes("embed"), LEAVES),
        (6.0, left("embed"), WITHOUT),
        (6.25, turn, DRAINS),
        (7.0, exits("embed-1.1", ENDED), []),
        (
            8.0,
            adds(EMBED),
            [
                "frontend.1 <- models chat embed",
                "frontend.1 <- chat ready chat-1.1, embed starting",
                "start embed-2.1",
            ],
        ),
    )


def test_a_frontend_that_has_not_said_hello_learns_of_it_by_what_it_is_to_serve() -> None:
    World(CHAT).play(
        (0.0, begin, ["start frontend.1", "start chat-1.1"]),
        (0.25, lambda world: world.connected.add("frontend.1"), []),
        (0.25, adds(EMBED), ["start embed-1.1"]),
        (0.5, connects("frontend.1"), ["frontend.1 <- serve chat embed"]),
    )


# --- leaving ---


def test_a_model_that_leaves_keeps_its_workers_until_nobody_waits_and_is_forgotten_then() -> None:
    world = run(CHAT, EMBED).play(
        (5.0, removes("embed"), LEAVES),
        (6.0, works("embed-1.1", progress=1), []),
        (6.25, works("embed-1.1", progress=2), []),
        (7.0, shows_leaving, []),
        (8.0, left("embed"), WITHOUT),
        (8.25, turn, DRAINS),
        (9.0, exits("embed-1.1", ENDED), []),
        (15.0, turn, []),
    )
    assert models(world) == ["chat"]


def test_one_whose_frontend_says_nothing_is_waited_for_as_long_as_a_request_may_take() -> None:
    run(CHAT, EMBED).play(
        (5.0, removes("embed"), LEAVES),
        (
            5.0 + PATIENCE_S,
            turn,
            ["frontend.1 <- chat ready chat-1.1, embed draining (embed-1)"],
        ),
        (5.25 + PATIENCE_S, turn, DRAINS),
        (
            6.0 + PATIENCE_S,
            exits("embed-1.1", ENDED),
            ["frontend.1 <- chat ready chat-1.1, embed stopped", *WITHOUT],
        ),
    )


def test_a_worker_that_dies_is_replaced_while_somebody_waits() -> None:
    run(CHAT, EMBED).play(
        (5.0, removes("embed"), LEAVES),
        (
            6.0,
            exits("embed-1.1"),
            [
                "frontend.1 <- chat ready chat-1.1, embed backoff",
                "frontend.1 <- chat ready chat-1.1, embed starting",
                "start embed-1.2",
            ],
        ),
        (6.25, connects("embed-1.2"), ["embed-1.2 <- load embed on cpu"]),
    )


def test_one_that_waits_for_its_next_start_ends_at_once() -> None:
    world = run(CHAT, EMBED)
    for generation in (1, 2):
        exits(f"embed-1.{generation}")(world)
    world.done.clear()
    world.play((1.0, removes("embed"), LEAVES), (1.0, left("embed"), WITHOUT), (10.0, turn, []))
    assert models(world) == ["chat"]


def test_the_death_of_the_frontend_leaves_nobody_who_waits() -> None:
    world = run(CHAT, EMBED).play(
        (5.0, removes("embed"), LEAVES),
        (
            6.0,
            exits("frontend.1"),
            [
                "chat-1.1 <- abandon the jobs of frontend.1",
                "embed-1.1 <- abandon the jobs of frontend.1",
                "start frontend.2",
            ],
        ),
        (6.25, turn, DRAINS),
        (6.25, connects("frontend.2"), ["frontend.2 <- serve chat"]),
        (6.5, exits("embed-1.1", ENDED), []),
        (
            7.0,
            becomes_ready("frontend.2"),
            [
                "frontend.2 <- chat ready chat-1.1",
                "systemd: READY=1",
            ],
        ),
    )
    serve = [message for message in world.sent if isinstance(message, Serve)][-1]
    assert serve.specs == [CHAT]


def test_one_that_leaves_while_no_frontend_knows_of_it_waits_for_nobody() -> None:
    world = run(CHAT, EMBED)
    exits("frontend.1")(world)
    world.done.clear()
    world.play((2.0, removes("embed"), []), (2.25, turn, DRAINS))


def test_one_that_comes_back_before_it_has_left_has_never_gone() -> None:
    world = run(CHAT, EMBED).play(
        (5.0, removes("embed"), LEAVES),
        (6.0, adds(EMBED), ["frontend.1 <- models chat embed"]),
        (7.0, left("embed"), []),  # it was on its way
        (20.0, turn, []),
    )
    assert models(world) == ["chat", "embed"]


def test_one_that_comes_back_while_its_workers_end_gets_others() -> None:
    run(CHAT, EMBED).play(
        (5.0, removes("embed"), LEAVES),
        (6.0, left("embed"), WITHOUT),
        (6.25, turn, DRAINS),
        (
            7.0,
            adds(EMBED),
            [
                "frontend.1 <- models chat embed",
                "frontend.1 <- chat ready chat-1.1, embed starting (embed-1)",
                "start embed-2.1",
            ],
        ),
        (
            8.0,
            exits("embed-1.1", ENDED),
            # Then forgotten, and with it that the model was ready once.
            ["frontend.1 <- chat ready chat-1.1, embed starting"] * 2,
        ),
    )


def test_a_model_that_there_is_not_cannot_be_removed() -> None:
    with pytest.raises(KeyError):
        run(CHAT).supervisor.remove("embed")


def test_a_word_of_a_model_that_stays_ends_nobody() -> None:
    world = run(CHAT, EMBED).play((5.0, left("embed"), []), (10.0, turn, []))
    assert models(world) == ["chat", "embed"]


def test_only_the_frontend_knows_that_nobody_waits() -> None:
    run(CHAT, EMBED).play(
        (5.0, removes("embed"), LEAVES),
        (6.0, says("chat-1.1", Left("embed")), []),
        (20.0, turn, []),
    )


def test_a_worker_that_does_not_end_is_ended_step_by_step() -> None:
    run(CHAT, EMBED).play(
        (5.0, removes("embed"), LEAVES),
        (6.0, left("embed"), WITHOUT),
        (6.25, turn, DRAINS),
        (36.25, turn, ["SIGTERM to embed-1.1"]),
        (46.25, turn, ["SIGABRT to embed-1.1"]),
        (47.25, turn, ["SIGKILL to embed-1.1"]),
        (47.5, exits("embed-1.1"), []),
    )


def test_its_cgroup_goes_with_it(tmp_path: Path) -> None:
    for name in ("chat-1.1", "embed-1.1"):
        (tmp_path / name).mkdir()
        for file in ("cgroup.procs", "memory.oom.group"):
            (tmp_path / name / file).touch()
    world = run(CHAT, EMBED, tree=Tree(tmp_path))
    for kernel_file in (tmp_path / "embed-1.1").iterdir():  # they go with the cgroup
        kernel_file.unlink()
    world.play(
        (5.0, removes("embed"), LEAVES),
        (6.0, left("embed"), WITHOUT),
        (6.25, turn, DRAINS),
        (7.0, exits("embed-1.1", ENDED), []),
    )
    assert [folder.name for folder in tmp_path.iterdir()] == ["chat-1.1"]


def test_a_stop_of_the_server_ends_those_that_were_leaving_like_all_others() -> None:
    run(CHAT, EMBED).play(
        (5.0, removes("embed"), LEAVES),
        (6.0, stop, ["systemd: STOPPING=1, STATUS=draining", "frontend.1 <- drain within 30 s"]),
        (
            7.0,
            exits("frontend.1", ENDED),
            [
                "chat-1.1 <- abandon the jobs of frontend.1",
                "embed-1.1 <- abandon the jobs of frontend.1",
                "chat-1.1 <- drain within 1 s",
                "embed-1.1 <- drain within 1 s",
            ],
        ),
        (7.25, exits("chat-1.1", ENDED), []),
        (7.25, exits("embed-1.1", ENDED), ["end"]),
    )


# --- changing ---

LARGER = msgspec.structs.replace(EMBED, slots=32)


def test_a_changed_model_gets_a_new_worker_before_the_old_one_goes() -> None:
    world = run(EMBED, update_watch_s=0.0).play(
        (
            5.0,
            adds(LARGER),
            ["frontend.1 <- models embed", "start embed-2.1"],
        ),
        (5.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (9.0, becomes_ready("embed-2.1"), ["frontend.1 <- embed ready embed-1.1 (embed-2)"]),
        (
            9.25,
            turn,
            ["frontend.1 <- models embed", "frontend.1 <- embed ready (embed-1) embed-2.1"],
        ),
        (9.75, turn, ["embed-1.1 <- drain within 600 s"]),
        (10.5, exits("embed-1.1", ENDED), ["frontend.1 <- embed ready embed-2.1"]),
    )
    starts = [message.spec for message in world.sent if isinstance(message, Start)]
    assert starts[-1] == LARGER


def test_replicas_are_loaded_one_after_the_other_and_switched_together() -> None:
    two, two_larger = (msgspec.structs.replace(one, replicas=2) for one in (EMBED, LARGER))
    run(two).play(
        (5.0, adds(two_larger), ["frontend.1 <- models embed", "start embed-3.1"]),
        (5.25, connects("embed-3.1"), ["embed-3.1 <- load embed on cpu"]),
        (
            6.0,
            becomes_ready("embed-3.1"),
            ["frontend.1 <- embed ready embed-1.1 embed-2.1 (embed-3)"],
        ),
        (6.25, turn, ["start embed-4.1"]),
        (7.25, connects("embed-4.1"), ["embed-4.1 <- load embed on cpu"]),
        (
            8.0,
            becomes_ready("embed-4.1"),
            ["frontend.1 <- embed ready embed-1.1 embed-2.1 (embed-3) (embed-4)"],
        ),
        (
            8.25,
            turn,
            [
                "frontend.1 <- models embed",
                "frontend.1 <- embed ready (embed-1) (embed-2) embed-3.1 embed-4.1",
            ],
        ),
    )


def test_a_change_that_does_not_start_leaves_the_old_worker_where_it_is() -> None:
    world = run(EMBED)
    adds(LARGER)(world)
    for generation in range(1, 6):
        exits(f"embed-2.{generation}")(world)
        while f"embed-2.{generation + 1}" not in world.children and generation < 5:
            world.at += 0.5
            world.supervisor.tick()
    assert "embed-1.1" in world.children
    assert not [one for one in world.done if "drain within" in one]


def test_what_is_changed_back_meanwhile_stays_and_the_newcomer_goes() -> None:
    run(EMBED).play(
        (5.0, adds(LARGER), ["frontend.1 <- models embed", "start embed-2.1"]),
        (5.25, connects("embed-2.1"), ["embed-2.1 <- load embed on cpu"]),
        (6.0, adds(EMBED), ["frontend.1 <- models embed"]),
        (6.25, turn, ["embed-2.1 <- drain within 600 s"]),
        (7.0, exits("embed-2.1", ENDED), []),
    )


def test_one_replica_fewer_ends_one() -> None:
    two = msgspec.structs.replace(EMBED, replicas=2)
    run(two).play(
        (
            5.0,
            adds(EMBED),
            ["frontend.1 <- models embed", "frontend.1 <- embed ready embed-1.1 (embed-2)"],
        ),
        (5.25, turn, ["embed-2.1 <- drain within 600 s"]),
        (6.0, exits("embed-2.1", ENDED), ["frontend.1 <- embed ready embed-1.1"]),
        (20.0, turn, []),
    )


def test_of_the_old_replicas_those_that_do_not_serve_go_first() -> None:
    world = run(msgspec.structs.replace(EMBED, replicas=2))
    for generation in (1, 2):
        exits(f"embed-1.{generation}")(world)
    world.done.clear()
    world.play(
        (1.0, adds(EMBED), ["frontend.1 <- models embed"]),
        (1.25, turn, ["frontend.1 <- embed ready embed-2.1"]),
        (20.0, turn, []),
    )
    assert [one.replica.name for one in world.supervisor._models.workers] == ["embed-2"]


def test_one_replica_more_starts_one() -> None:
    two = msgspec.structs.replace(EMBED, replicas=2)
    run(EMBED).play((5.0, adds(two), ["frontend.1 <- models embed", "start embed-2.1"]))
