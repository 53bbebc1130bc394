"""When a box deploys a model of the cluster, and when it waits for the first one to."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from ipc.messages.spec import Cluster, Loaded, Spec
from worker.cluster import deploying, messages
from worker.cluster.deploying import deployed
from worker.cluster.placement import digest_of
from worker.engine import LoadError

CLUSTER = Cluster(
    served=Spec(name="m", task="chat", engine="echo", path="", load_stall_s=30.0),
    folder="/state",
    models_dir="/models",
    memory_mb=9,
)
WANTED = digest_of(CLUSTER)


class Ray:
    """Says how the application stands and what its replicas are, each in turn, the last for ever.
    ``deployments`` are those that were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.deployments: list[str] = []
        self.now = 0.0
        monkeypatch.setattr(deploying, "_deploy", lambda _, digest: self.deployments.append(digest))
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self._pass)
        monkeypatch.setattr(deploying, "time", clock)
        self._patch = monkeypatch

    def says(self, states: Sequence[str], digests: Sequence[str] = (WANTED,)) -> None:
        state = itertools.chain(states, itertools.repeat(states[-1]))
        digest = itertools.chain(digests, itertools.repeat(digests[-1]))
        self._patch.setattr(deploying, "_state", lambda _: (next(state), "why"))
        self._patch.setattr(deploying, "_told", lambda _: told(next(digest)))

    def _pass(self, seconds: float) -> None:
        self.now += seconds


def told(digest: str) -> messages.Told:
    if not digest:
        raise LoadError("no replica answers", permanent=False)
    return messages.Told(digest=digest, loaded=Loaded(device="cpu"))


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    return Ray(monkeypatch)


def run(*, is_head: bool) -> messages.Told:
    return deployed(CLUSTER, lambda _: None, is_head=is_head)


def test_the_first_box_deploys_what_is_not_there(ray: Ray) -> None:
    ray.says(["", "DEPLOYING", "RUNNING"])
    assert run(is_head=True).digest == WANTED
    assert ray.deployments == [WANTED]


def test_another_box_waits_for_it(ray: Ray) -> None:
    ray.says(["", "", "DEPLOYING", "RUNNING"])
    assert run(is_head=False).digest == WANTED
    assert ray.deployments == []


@pytest.mark.parametrize("state", ["RUNNING", "UNHEALTHY", "DEPLOYING"])
def test_replicas_that_work_are_left_alone_when_the_first_box_comes_back(
    ray: Ray, state: str
) -> None:
    ray.says([state, "RUNNING"])
    run(is_head=True)
    assert ray.deployments == []


@pytest.mark.parametrize(("state", "digest"), [("RUNNING", "another"), ("UNHEALTHY", "")])
def test_what_runs_otherwise_or_not_at_all_is_deployed_anew(
    ray: Ray, state: str, digest: str
) -> None:
    ray.says([state, "RUNNING"], [digest, WANTED])
    run(is_head=True)
    assert ray.deployments == [WANTED]


def test_a_box_that_comes_before_the_first_one_has_changed_the_entry_waits(ray: Ray) -> None:
    ray.says(["RUNNING"], ["before", "before", WANTED])
    assert run(is_head=False).digest == WANTED


def test_one_with_another_entry_is_refused_in_the_end(ray: Ray) -> None:
    ray.says(["RUNNING"], ["another"])
    with pytest.raises(LoadError, match="serves this model otherwise") as refused:
        run(is_head=False)
    assert refused.value.permanent
    assert ray.now >= CLUSTER.served.load_stall_s


def test_what_cannot_be_started_is_said_at_once(ray: Ray) -> None:
    ray.says(["DEPLOYING", "DEPLOY_FAILED"])
    with pytest.raises(LoadError, match="could not start it: why") as failed:
        run(is_head=False)
    assert not failed.value.permanent


def test_nobody_waits_for_ever(ray: Ray) -> None:
    ray.says([""])
    with pytest.raises(LoadError, match="no replica of it came in time"):
        run(is_head=False)
