"""How children are started: their command and their sockets."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ipc.messages.spec import Spec
from supervisor.cluster.forwarding import forwarding
from supervisor.fleet.command import argv, listening
from supervisor.fleet.member import Member, frontend
from supervisor.lifecycle.replica import Replica
from tests.unit.supervisor.histories.world import World

SPEC = Spec(name="m", task="chat", engine="torch", path="", threads=3)


def test_the_frontend_inherits_the_sockets() -> None:
    world = World(SPEC)
    assert argv(frontend(world), world.plan, world)[-2:] == ["--listen-fd", "9"]
    world.ollama_fd, world.wyoming_fd = 10, 11
    assert argv(frontend(world), world.plan, world)[-6:] == [
        *("--listen-fd", "9"),
        *("--ollama-fd", "10"),
        *("--wyoming-fd", "11"),
    ]
    assert listening(world) == [9, 10, 11]


@pytest.mark.parametrize(
    ("engine", "gives_up"),
    [
        ("openvino", ["--read-only", "/models", "--offline"]),
        ("remote", ["--read-only", "/models"]),
        ("command", ["--read-only", "/models"]),
    ],
)
def test_a_worker_of_a_service_gives_up_its_models_and_whom_it_need_not_reach(
    engine: str, gives_up: list[str]
) -> None:
    served = msgspec.structs.replace(SPEC, engine=engine)
    world = World(served, read_only="/models")
    worker = Member(Replica("chat-1", 1.0, 1.0), served)
    assert argv(worker, world.plan, world)[-len(gives_up) :] == gives_up
    assert "--read-only" not in argv(frontend(world), world.plan, world)
    assert "--read-only" not in argv(worker, World(served).plan, world)


def test_a_worker_that_passes_jobs_on_may_reach_others() -> None:
    served = msgspec.structs.replace(SPEC, engine="openvino")
    here = forwarding(served, 0, Path("/state/cluster"), Path("/models"))
    world = World(here, read_only="/models")
    assert "--offline" not in argv(Member(Replica("chat-1", 1.0, 1.0), here), world.plan, world)
