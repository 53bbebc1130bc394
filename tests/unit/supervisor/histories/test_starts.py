"""Who is started, in which order, with what, and what is told of it."""

from __future__ import annotations

import errno

import msgspec
import pytest

from ipc.messages.admin import Ask, GetHealth
from ipc.messages.control import BootFailed, Loading, Ready
from ipc.messages.spec import Loaded
from supervisor.state.footprints import Footprint, Subject
from tests.unit.supervisor.histories.world import (
    CHAT,
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
    told,
    turn,
)

STARTING = "frontend.1 <- embed starting"
TWO_CHATS = msgspec.structs.replace(CHAT, replicas=2)


def test_the_frontend_is_started_first_and_then_every_replica() -> None:
    World(TWO_CHATS, EMBED).play(
        (0.0, begin, ["start frontend.1", "start chat-1.1", "start chat-2.1", "start embed-1.1"])
    )


def test_a_load_is_told_once_for_each_model_that_is_started() -> None:
    world = run(TWO_CHATS, EMBED)
    assert [one.model for one in world.events if one.type == "model.load"] == ["chat", "embed"]
    exits("embed-1.1")(world)  # of its repair tells the exit
    loads = [one.model for one in world.events if one.type == "model.load"]
    assert loads == ["chat", "embed"]


def test_from_hello_to_ready() -> None:
    World(CHAT).play(
        (0.0, begin, ["start frontend.1", "start chat-1.1"]),
        (0.25, connects("frontend.1"), ["frontend.1 <- serve chat"]),
        # Pinned to one GPU, it knows that one as the first.
        (0.25, connects("chat-1.1"), ["chat-1.1 <- load chat on cuda:0"]),
        (
            0.5,
            becomes_ready("frontend.1"),
            [
                "frontend.1 <- chat starting",
                "systemd: READY=1",
            ],
        ),
        (
            2.0,
            becomes_ready("chat-1.1"),
            ["frontend.1 <- chat ready chat-1.1"],
        ),
        (60.0, turn, []),
    )


def test_a_frontend_that_is_not_ready_is_told_nothing_but_all_of_it_once_it_is() -> None:
    World(EMBED).play(
        (0.0, begin, ["start frontend.1", "start embed-1.1"]),
        (0.5, connects("frontend.1"), ["frontend.1 <- serve embed"]),
        (0.5, connects("embed-1.1"), ["embed-1.1 <- load embed on cpu"]),
        (1.0, becomes_ready("embed-1.1"), []),
        (
            2.0,
            becomes_ready("frontend.1"),
            [
                "frontend.1 <- embed ready embed-1.1",
                "systemd: READY=1",
            ],
        ),
    )


def test_only_the_frontend_inherits_the_listening_socket() -> None:
    world = run(CHAT)
    frontend, chat = world.children["frontend.1"], world.children["chat-1.1"]
    assert (frontend.pass_fds, chat.pass_fds) == ([9], [])
    assert frontend.argv[-2:] == ["--listen-fd", "9"]
    assert chat.argv[-2:] == ["--run-dir", "/run"]
    assert "ipc:///run/control" in chat.argv


def test_a_worker_sees_its_own_gpu_and_the_frontend_none() -> None:
    world = run(CHAT, EMBED)
    seen = {name: child.env["CUDA_VISIBLE_DEVICES"] for name, child in world.children.items()}
    assert seen == {"frontend.1": "", "chat-1.1": "1", "embed-1.1": ""}


def test_a_worker_is_nicer_by_how_much_its_model_has_less_priority() -> None:
    urgent = msgspec.structs.replace(EMBED, name="urgent", priority=5)
    world = run(
        EMBED, urgent, msgspec.structs.replace(CHAT, priority=1)
    )  # that one computes on a GPU
    found = {name: child.nice for name, child in world.children.items()}
    # The urgent one is started first.
    assert found == {"frontend.1": 0, "embed-1.1": 0, "embed-2.1": 5, "chat-1.1": 0}


def test_what_a_worker_that_ended_still_says_is_nobodys() -> None:
    run(EMBED).play(
        (5.0, exits("embed-1.1"), ["frontend.1 <- embed backoff", STARTING, "start embed-1.2"]),
        (5.25, says("embed-1.1", Ready()), []),
        (5.25, says("embed-1.x", Ready()), []),
        (5.25, says("nobody.1", Ready()), []),
    )


def test_the_model_is_what_its_worker_has_found_it_to_be() -> None:
    world = World(EMBED)
    begin(world)
    ready = Ready(loaded=Loaded(device="cpu", dimensions=384), warm={"text-embedding": "ok"})
    says("embed-1.1", ready)(world)
    world.connected.add("frontend.1")
    says("frontend.1", Ask(7, GetHealth()))(world)
    model = told(world)["models"][0]
    assert (model["state"], model["warm"]) == ("ready", {"text-embedding": "ok"})


def test_what_is_asked_for_health_is_answered_by_number_with_all_there_is() -> None:
    world = run(CHAT, unavailable={"speech": "no network"})
    world.play((2.0, says("frontend.1", Ask(7, GetHealth())), ["frontend.1 <- told 7"]))
    report = told(world)
    assert report.keys() == {"box", "supervisor", "frontend", "models"}
    assert [(one["name"], one["state"]) for one in report["models"]] == [
        ("chat", "ready"),
        ("speech", "failed"),
    ]


def test_a_worker_is_weighed_when_it_is_ready_and_before_it_drains() -> None:
    world = World(EMBED)
    begin(world)
    connects("embed-1.1")(world)
    assert world.weighed == []
    becomes_ready("embed-1.1")(world)
    pid = world.children["embed-1.1"].pid
    assert world.weighed == [("embed", pid)]
    world.supervisor.stop()
    exits("frontend.1", ENDED)(world)
    assert world.weighed == [("embed", pid), ("embed", pid)]


def test_what_a_model_was_measured_to_take_is_told_where_it_is_known() -> None:
    world = run(CHAT, EMBED)
    world.footprints["embed"] = Footprint(
        subject=Subject.of(EMBED, ""),
        private_bytes=90 << 20,
        peak_bytes=120 << 20,
        measured_at=1,
    )
    says("frontend.1", Ask(7, GetHealth()))(world)
    models = told(world)["models"]
    assert [(one["memory_mb"], one["load_peak_mb"]) for one in models] == [(None, None), (90, 120)]


def test_a_stage_of_loading_is_shown_while_it_loads() -> None:
    world = World(EMBED)
    begin(world)
    world.connected.add("frontend.1")
    says("embed-1.1", Loading("warming up"))(world)
    says("frontend.1", Ask(1, GetHealth()))(world)
    (replica,) = told(world)["models"][0]["replicas"]
    assert (replica["state"], replica["stage"]) == ("starting", "warming up")


@pytest.mark.parametrize("fail_fast", [False, True])
def test_a_model_that_cannot_start_ends_the_start_only_if_that_was_asked_for(
    fail_fast: bool,
) -> None:
    gone = BootFailed(reason="no such file", permanent=True)
    world = World(EMBED, fail_fast=fail_fast)
    begin(world)
    for child in ("frontend.1", "embed-1.1"):
        connects(child)(world)
    becomes_ready("frontend.1")(world)
    world.done.clear()
    ending = ["systemd: STOPPING=1, STATUS=draining", "frontend.1 <- drain within 30 s"]
    world.play(
        (1.0, says("embed-1.1", gone), [STARTING, "embed-1.1 <- noted"]),
        (1.0, exits("embed-1.1"), ["frontend.1 <- embed failed", *(ending if fail_fast else [])]),
    )
    assert world.supervisor.failed == fail_fast


def test_models_that_are_ready_before_the_frontend_have_not_finished_the_start() -> None:
    gone = BootFailed(reason="no such file", permanent=True)
    world = World(EMBED, fail_fast=True)
    begin(world)
    becomes_ready("embed-1.1")(world)
    says("embed-1.1", gone)(world)
    exits("embed-1.1")(world)
    assert world.supervisor.failed


def test_a_model_that_fails_during_a_stop_does_not_hurry_it() -> None:
    gone = BootFailed(reason="no such file", permanent=True)
    world = World(EMBED, fail_fast=True)
    begin(world)
    connects("frontend.1")(world)
    stop(world)
    says("embed-1.1", gone)(world)
    world.done.clear()
    exits("embed-1.1")(world)
    assert "frontend.1 <- drain within 0 s" not in world.done
    assert not world.supervisor.failed


def test_a_failure_after_all_were_ready_ends_nothing() -> None:
    gone = BootFailed(reason="no such file", permanent=True)
    world = run(EMBED, fail_fast=True)
    says("embed-1.1", gone)(world)
    exits("embed-1.1")(world)
    assert not world.supervisor.failed


def test_a_process_that_cannot_be_started_is_a_failure_like_any_other() -> None:
    world = run(EMBED)
    world.cannot_start = OSError(errno.EAGAIN, "Resource temporarily unavailable")
    exits("embed-1.1", ENDED)(world)
    says("frontend.1", Ask(1, GetHealth()))(world)
    (replica,) = told(world)["models"][0]["replicas"]
    assert (replica["state"], replica["restarts"]) == ("backoff", 2)
    assert replica["last_exit"] == "could not be started: Resource temporarily unavailable"
    world.cannot_start = None
    world.done.clear()
    world.play((2.0, turn, ["frontend.1 <- embed starting", "start embed-1.3"]))
