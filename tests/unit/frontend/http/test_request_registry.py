"""The requests that a server works on, and the last that it has ended."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from frontend.dispatch.budget import Budget
from frontend.dispatch.stream import Stream
from frontend.http.request_context import RequestContext
from frontend.http.request_registry import KEPT, RequestRegistry
from ipc.messages.errors import NotFound
from ipc.messages.events import Delta, Usage

CHAT = "/v1/chat/completions"


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def context(name: str, clock: Clock) -> RequestContext:
    made = RequestContext(name)
    made.started_at = clock.now
    return made


def stream(clock: Clock) -> Stream:
    return Stream("job", clock.now, lambda _: None, Budget(1).open())


def test_a_request_is_told_from_its_beginning_to_its_end() -> None:
    clock = Clock()
    registry = RequestRegistry(clock)
    one = context("a", clock)
    registry.begin(one, CHAT)
    assert registry.record("a").stage == "received"
    clock.now = 101.0
    one.model, one.key = "org/chat", "ann"
    one.stream = job = stream(clock)
    assert (registry.record("a").stage, registry.record("a").submitted_s) == ("waiting", 1.0)
    job.dispatched_at = clock.now = 102.0
    assert registry.record("a").stage == "running"
    job.push(Delta("job", "hi"), 103.0)
    assert registry.record("a").stage == "answering"
    clock.now = 105.0
    one.status, one.usage = 200, Usage(prompt_tokens=7, completion_tokens=2)
    registry.end(one)
    one.stream = None
    record = registry.record("a")
    assert (record.stage, record.status, record.model, record.key) == (
        "ended",
        200,
        "org/chat",
        "ann",
    )
    times = (record.submitted_s, record.dispatched_s, record.first_s, record.total_s)
    assert times == (1.0, 2.0, 3.0, 5.0)
    assert record.usage == one.usage


def test_the_newest_come_first_and_the_oldest_that_have_ended_are_forgotten() -> None:
    clock = Clock()
    registry = RequestRegistry(clock)
    for number in range(KEPT + 5):
        clock.now += 1
        one = context(str(number), clock)
        registry.begin(one, CHAT)
        registry.end(one)
    clock.now += 1
    registry.begin(context("open", clock), CHAT)
    names = [record.id for record in registry.records()]
    assert names[:2] == ["open", str(KEPT + 4)]
    assert len(names) == KEPT + 1
    with pytest.raises(NotFound):
        registry.record("4")


@pytest.mark.parametrize("status", [401, 403])
def test_who_was_not_let_in_is_not_in_it(status: int) -> None:
    registry = RequestRegistry()
    stranger = RequestContext("a")
    registry.begin(stranger, CHAT)
    stranger.status = status
    registry.end(stranger)
    assert registry.records() == []


def test_of_two_with_one_id_the_one_that_is_worked_on_is_told() -> None:
    clock = Clock()
    registry = RequestRegistry(clock)
    first, second = context("a", clock), context("a", clock)
    registry.begin(first, CHAT)
    registry.begin(second, CHAT)
    second.status = 200
    registry.end(second)
    assert registry.record("a").stage == "received"
    with pytest.raises(NotFound):
        registry.streams("a")
    first.stream = stream(clock)
    assert registry.streams("a") == [first.stream]
