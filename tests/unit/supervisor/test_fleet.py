"""The environment in which a worker starts."""

from __future__ import annotations

import pytest

from ipc.messages.spec import Spec
from supervisor.fleet import environment

SPEC = Spec(name="m", task="chat", engine="torch", path="", threads=3)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def test_openmp_has_the_threads_of_the_model_and_soon_sleeps_when_they_wait() -> None:
    env = environment(SPEC)
    assert (env["OMP_NUM_THREADS"], env["GOMP_SPINCOUNT"]) == ("3", "10000")


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
