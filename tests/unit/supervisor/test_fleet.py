"""How children are started: their sockets and their environment."""

from __future__ import annotations

import pytest

from ipc.messages.spec import Spec
from supervisor.fleet import argv, environment, frontend, listening
from tests.unit.supervisor.histories.world import World

SPEC = Spec(name="m", task="chat", engine="torch", path="", threads=3)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def test_openmp_has_the_threads_of_the_model_and_soon_sleeps_when_they_wait() -> None:
    env = environment(SPEC)
    assert (env["OMP_NUM_THREADS"], env["GOMP_SPINCOUNT"]) == ("3", "10000")


def test_the_frontend_inherits_the_sockets() -> None:
    world = World(SPEC)
    assert argv(frontend(world), world.plan, world)[-2:] == ["--listen-fd", "9"]
    world.ollama_fd = 10
    assert argv(frontend(world), world.plan, world)[-4:] == [
        *("--listen-fd", "9"),
        *("--ollama-fd", "10"),
    ]
    assert listening(world) == [9, 10]


def test_the_frontend_computes_nothing() -> None:
    assert not environment(None).keys() & {"OMP_NUM_THREADS", "GOMP_SPINCOUNT"}


@pytest.mark.parametrize(
    ("name", "value"), [("GOMP_SPINCOUNT", "50"), ("OMP_WAIT_POLICY", "active")]
)
def test_how_to_wait_may_be_chosen(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    env = environment(SPEC)
    assert {key: env[key] for key in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if key in env} == {
        name: value
    }
