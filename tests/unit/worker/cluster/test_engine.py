"""A replica that dies, falls silent or refuses: what becomes of the job that it had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from ipc.cluster import NODE, Node
from ipc.messages.errors import InvalidRequest
from ipc.messages.events import (
    ChatResult,
    Delta,
    Done,
    Event,
    Events,
    Failed,
    Prefilled,
    Usage,
)
from ipc.messages.jobs import ChatInput, Job, Message, Sampling
from ipc.transport.wire import encode
from worker.cluster import messages, silence
from worker.cluster.engine import ClusterEngine
from worker.cluster.meeting import Meeting
from worker.cluster.node import act_on
from worker.engine import LoadError

JOB = Job(
    id="a",
    model="m",
    input=ChatInput(messages=[Message("user", "hi")], sampling=Sampling(max_tokens=9)),
    deadline_at=1e12,
)
DONE = Done("a", ChatResult(finish="stop", usage=Usage()))


class ActorDiedError(Exception):
    """As Ray's is called."""


class ActorUnavailableError(Exception):
    """As Ray's is called."""


class BackPressureError(Exception):
    """As Ray Serve's is called."""


class Replica:
    """Says what it is told to, in place of a handle. ``cancelled`` counts calls that were given
    up."""

    def __init__(self, *said: list[Event] | Exception | float) -> None:
        self._said = said
        self.cancelled = 0
        self.answer = self

    def remote(self, frames: list[bytes], left_s: float) -> Replica:
        assert messages.jobs.decode(frames).id == JOB.id
        assert left_s > 0
        return self

    def cancel(self) -> None:
        self.cancelled += 1

    async def __aiter__(self) -> AsyncIterator[list[bytes]]:
        for one in self._said:
            if isinstance(one, Exception):
                raise one
            if isinstance(one, float):
                await asyncio.sleep(one)
            else:
                yield encode(Events(one)) if one else messages.BEAT


class Replicas:
    """A handle of several: each call is given to the next one."""

    def __init__(self, *replicas: Replica) -> None:
        self.all = replicas
        self._next = iter(replicas)
        self.answer = self

    def remote(self, frames: list[bytes], left_s: float) -> Replica:
        return next(self._next).remote(frames, left_s)


def answered(replica: Replica | Replicas, job: Job = JOB) -> list[Event]:
    """All that comes of the job."""
    engine = ClusterEngine()
    engine._handle = replica
    engine._open(slots=1, thread_name="cluster")
    try:
        assert engine.admit(job)
        events: list[Event] = []
        while engine.wait_s() == 0:
            events += engine.step()
        return events
    finally:
        engine.close()


def piece(text: str) -> list[Event]:
    return [Delta("a", text, 1, ids=[1])]


def test_what_a_replica_says_is_passed_on_and_beats_are_not() -> None:
    replica = Replica([], piece("b"), [], piece("c"), [DONE])
    assert answered(replica) == [*piece("b"), *piece("c"), DONE]


def test_a_replica_is_let_go_once_all_of_its_answer_has_come() -> None:
    """It waits for that: Ray would have it stand still for a caller that is cut off."""
    replica = Replica(piece("b"), [DONE])
    answered(replica)
    assert replica.cancelled == 1


@pytest.mark.parametrize("error", [ActorDiedError(), ActorUnavailableError()])
def test_a_job_of_a_replica_that_has_gone_breaks_off(error: Exception) -> None:
    *before, end = answered(Replica(piece("b"), error))
    assert before == piece("b")
    assert isinstance(end, Failed)
    assert (end.broke_off, end.began, end.error.code) == (True, True, "worker_crashed")


def test_one_of_which_nothing_had_come_had_not_begun() -> None:
    (end,) = answered(Replica([], ActorDiedError()))
    assert isinstance(end, Failed)
    assert (end.broke_off, end.began) == (False, False)


def test_one_whose_prompt_was_being_read_had_not_begun() -> None:
    """Of that its client has nothing, so another replica may begin anew."""
    read = Prefilled("a", 1000, 5000, left_s=1.0)
    *before, end = answered(Replica([read], ActorDiedError()))
    assert before == [read]
    assert isinstance(end, Failed)
    assert (end.broke_off, end.began) == (False, False)


def test_one_that_goes_on_behind_others_words_has_begun() -> None:
    (end,) = answered(Replica(ActorDiedError()), replace(JOB, written={0: [1]}))
    assert isinstance(end, Failed)
    assert (end.broke_off, end.began) == (True, True)


def test_a_replica_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "SILENT_LEAST_S", 0.05)
    monkeypatch.setattr(silence, "LOOK_S", 0.02)
    replica = Replica(piece("b"), 60.0)
    *_, end = answered(replica)
    assert isinstance(end, Failed)
    assert (end.broke_off, end.began) == (True, True)
    assert replica.cancelled == 1


def test_one_that_waits_for_its_turn_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a replica has it, nobody says that it lives."""
    monkeypatch.setattr(messages, "SILENT_LEAST_S", 0.05)
    monkeypatch.setattr(silence, "LOOK_S", 0.02)
    assert answered(Replica(0.2, piece("b"), [DONE]))[-1] == DONE


def test_a_call_of_which_nothing_comes_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replica that was given it may stand still: another one answers."""
    monkeypatch.setattr(messages, "FIRST_S", 0.05)
    replicas = Replicas(Replica(60.0), Replica(piece("b"), [DONE]))
    assert answered(replicas) == [*piece("b"), DONE]
    assert [one.cancelled for one in replicas.all] == [1, 1]


class Control(Meeting):
    """The control service ``is_away``, or answers."""

    def __init__(self, *, is_away: bool) -> None:
        self._is_away = is_away

    def is_silent(self, _for_s: float) -> bool:
        return self._is_away

    def end(self) -> None:
        pass


def asked_of(replicas: Replica | Replicas, folder: Path, *, control_is_away: bool) -> list[Event]:
    """All that comes of the job on a box whose node was the one of `node_is` as it was let in."""
    engine = ClusterEngine()
    engine._handle, engine._folder, engine._node = replicas, folder, "n1"
    engine._meeting = Control(is_away=control_is_away)
    engine._open(slots=1, thread_name="cluster")
    try:
        assert engine.admit(JOB)
        events: list[Event] = []
        while engine.wait_s() == 0:
            events += engine.step()
        return events
    finally:
        engine.close()


def node_is(name: str, folder: Path) -> None:
    (folder / NODE).write_bytes(msgspec.json.encode(Node(pid=1, id=name)))


def test_a_box_that_is_cut_off_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(messages, "FIRST_S", 0.05)
    replicas = Replicas(*(Replica(60.0) for _ in range(9)))
    (end,) = asked_of(replicas, tmp_path, control_is_away=True)
    assert isinstance(end, Failed)
    assert (end.broke_off, end.error.code) == (False, "unavailable")


def test_one_that_has_a_replica_itself_goes_on_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another call's words show that some replica is reached."""
    monkeypatch.setattr(messages, "FIRST_S", 0.05)
    monkeypatch.setattr(silence.Watch, "hears_none", lambda *_: False)
    replicas = Replicas(Replica(60.0), Replica(piece("b"), [DONE]))
    assert asked_of(replicas, tmp_path, control_is_away=True)[-1] == DONE


@pytest.mark.parametrize("control_is_away", [False, True])
def test_a_process_that_finds_no_replica_since_its_node_has_begun_anew_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, control_is_away: bool
) -> None:
    """Though its own connection to the control service may be late to come back."""
    monkeypatch.setattr(messages, "FIRST_S", 0.05)
    node_is("n2", tmp_path)
    with pytest.raises(LoadError, match="begun anew"):
        asked_of(
            Replicas(*(Replica(60.0) for _ in range(9))), tmp_path, control_is_away=control_is_away
        )


@pytest.mark.parametrize("name", ["n1", ""])
def test_it_asks_on_while_its_node_is_the_same_or_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(messages, "FIRST_S", 0.05)
    node_is(name, tmp_path)
    replicas = Replicas(Replica(60.0), Replica(60.0), Replica(piece("b"), [DONE]))
    assert asked_of(replicas, tmp_path, control_is_away=False)[-1] == DONE


def test_a_timeout_of_ray_s_own_is_no_silence() -> None:
    """It would be called again and again, at once."""
    replica = Replica(TimeoutError("of Ray"))
    (end,) = answered(replica)
    assert isinstance(end, Failed)
    assert end.error.code == "worker_crashed"


def test_each_time_it_is_waited_for_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all replicas are slow the first word comes in the end."""
    monkeypatch.setattr(messages, "FIRST_S", 0.1)
    replicas = Replicas(*(Replica(0.3, piece("b"), [DONE]) for _ in range(9)))
    assert answered(replicas)[-1] == DONE


def test_a_replica_that_dies_after_a_silent_one_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "FIRST_S", 0.05)
    (end,) = answered(Replicas(Replica(60.0), Replica(ActorDiedError())))
    assert isinstance(end, Failed)
    assert (end.began, end.error.code) == (False, "worker_crashed")


def test_what_a_replica_refuses_is_refused() -> None:
    refused = Failed(job="a", error=InvalidRequest("no such thing").info())
    assert answered(Replica([refused])) == [refused]


def test_replicas_that_have_enough_to_do_are_no_loss() -> None:
    (end,) = answered(Replica(BackPressureError()))
    assert isinstance(end, Failed)
    assert (end.broke_off, end.error.code) == (False, "rate_limit_exceeded")


def test_an_answer_without_an_end_is_an_error() -> None:
    *_, end = answered(Replica(piece("b")))
    assert isinstance(end, Failed)
    assert (end.broke_off, end.error.code) == (False, "internal_error")


def test_a_dropped_job_has_its_call_given_up() -> None:
    replica = Replica(piece("b"), 60.0)
    engine = ClusterEngine()
    engine._handle = replica
    engine._open(slots=1, thread_name="cluster")
    engine.admit(JOB)
    while not engine.step():
        pass
    engine.drop("a")
    engine.close()
    assert replica.cancelled == 1


@pytest.mark.parametrize(
    ("process", "status", "then"),
    [
        ("gcs_server", -9, "control service again"),
        ("raylet", -9, "node again"),
        ("raylet", 0, "leave"),  # it was drained
        ("monitor", -9, "nothing"),
    ],
)
def test_what_follows_the_end_of_a_part_of_the_node(process: str, status: int, then: str) -> None:
    assert act_on(process, status) == then
