"""The environment of children."""

from __future__ import annotations

import msgspec
import pytest

from ipc.engines import LISTED
from ipc.messages.spec import Spec
from supervisor.children.environment import environment

SPEC = Spec(name="m", task="chat", engine="torch", path="", threads=3)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)


def test_openmp_has_the_threads_of_the_model_and_soon_sleeps_when_they_wait() -> None:
    env = environment(SPEC)
    assert (env["OMP_NUM_THREADS"], env["GOMP_SPINCOUNT"]) == ("3", "10000")


def test_the_frontend_computes_nothing() -> None:
    assert not environment(None).keys() & {"OMP_NUM_THREADS", "GOMP_SPINCOUNT", "GLIBC_TUNABLES"}


@pytest.mark.parametrize(
    ("name", "value"), [("GOMP_SPINCOUNT", "50"), ("OMP_WAIT_POLICY", "active")]
)
def test_how_to_wait_may_be_chosen(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    env = environment(SPEC)
    assert {key: env[key] for key in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if key in env} == {
        name: value
    }


def test_engines_that_compute_sooner_in_huge_pages_have_their_memory_in_them() -> None:
    sooner = {
        engine.name
        for engine in LISTED
        if "GLIBC_TUNABLES" in environment(msgspec.structs.replace(SPEC, engine=engine.name))
    }
    assert sooner == {"openvino"}


def test_how_memory_is_taken_may_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    served = msgspec.structs.replace(SPEC, engine="openvino")
    assert environment(served)["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=0"
