"""The requests that a server works on, and the last that it has ended."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from frontend.dispatch.budget import Budget
from frontend.dispatch.estimates.shape import Shape
from frontend.dispatch.stream import Stream
from frontend.history.request_record import RequestRecord, ended_record
from frontend.history.request_registry import KEPT, RequestRegistry
from frontend.http.request_context import RequestContext
from ipc.messages.errors import NotFound
from ipc.messages.events import ChatResult, Delta, Done, Marks, Usage

CHAT = "/v1/chat/completions"
BOOT_S = 1_800_000_000.0


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def context(name: str, clock: Clock) -> RequestContext:
    made = RequestContext(name)
    made.method, made.path = "POST", CHAT
    made.started_at = clock.now
    return made


def stream(clock: Clock) -> Stream:
    return Stream("job", clock.now, lambda _: None, Budget(1).open())


def registry_of(clock: Clock, kept: list[RequestRecord] | None = None) -> RequestRegistry:
    keep = (kept if kept is not None else []).append
    return RequestRegistry(keep, clock, lambda: BOOT_S + clock.now)


def end(registry: RequestRegistry, one: RequestContext, clock: Clock) -> None:
    registry.end(one, ended_record(one, clock.now, BOOT_S + clock.now))


def told(registry: RequestRegistry, request_id: str) -> RequestRecord:
    record = registry.record(request_id)
    assert record is not None
    return record


def test_a_request_is_told_from_its_beginning_to_its_end() -> None:
    clock, kept = Clock(), list[RequestRecord]()
    registry = registry_of(clock, kept)
    one = context("a", clock)
    registry.begin(one)
    assert told(registry, "a").stage == "received"
    clock.now = 101.0
    one.model, one.key, one.shape = "org/chat", "ann", Shape(kind="chat", texts=1)
    one.stream = job = stream(clock)
    assert (told(registry, "a").stage, told(registry, "a").submitted_s) == ("waiting", 1.0)
    job.dispatched_at = clock.now = 102.0
    job.attempt, job.worker_pid, job.load_s = 1, 77, 0.5
    assert told(registry, "a").stage == "running"
    job.push(Delta("job", "hi", prompt_tokens=7), 103.0)
    assert (told(registry, "a").stage, told(registry, "a").prompt_tokens) == ("answering", 7)
    clock.now = 105.0
    one.status, one.usage = 200, Usage(prompt_tokens=7, completion_tokens=2)
    marks = Marks(began_s=0.25, first_s=0.75, ended_s=2.5, steps=4)
    job.push(Done("job", ChatResult(finish="stop", usage=one.usage), marks=marks), 105.0)
    end(registry, one, clock)
    one.stream = None
    record = told(registry, "a")
    assert kept == [record]
    assert record == RequestRecord(
        id="a",
        time_s=BOOT_S + 100.0,
        method="POST",
        path=CHAT,
        stage="ended",
        client="",
        key="ann",
        model="org/chat",
        submitted_s=1.0,
        load_s=0.5,
        dispatched_s=2.0,
        began_s=2.25,
        read_s=2.75,
        first_s=3.0,
        worked_s=4.5,
        total_s=5.0,
        attempt=1,
        worker_pid=77,
        steps=4,
        status=200,
        finish="stop",
        prompt_tokens=7,
        usage=one.usage,
        shape=one.shape,
    )
    assert record.queue_s == 1.0


def test_the_newest_come_first_and_the_oldest_that_have_ended_are_forgotten() -> None:
    clock = Clock()
    registry = registry_of(clock)
    for number in range(KEPT + 5):
        clock.now += 1
        one = context(str(number), clock)
        registry.begin(one)
        end(registry, one, clock)
    clock.now += 1
    registry.begin(context("open", clock))
    registry.begin(context("newer", clock))
    assert [record.id for record in registry.open()] == ["newer", "open"]
    ended = registry.ended()
    assert ended[0][1].id == str(KEPT + 4)
    assert [number for number, _ in ended] == [*range(KEPT + 5, 5, -1)]
    assert registry.record("4") is None


@pytest.mark.parametrize("status", [401, 403])
def test_who_was_not_let_in_is_not_in_it(status: int) -> None:
    clock, kept = Clock(), list[RequestRecord]()
    registry = registry_of(clock, kept)
    stranger = context("a", clock)
    registry.begin(stranger)
    stranger.status = status
    end(registry, stranger, clock)
    assert (registry.open(), registry.ended(), kept) == ([], [], [])


def test_of_two_with_one_id_the_one_that_is_worked_on_is_told() -> None:
    clock = Clock()
    registry = registry_of(clock)
    first, second = context("a", clock), context("a", clock)
    registry.begin(first)
    registry.begin(second)
    second.status = 200
    end(registry, second, clock)
    assert told(registry, "a").stage == "received"
    with pytest.raises(NotFound):
        registry.streams("a")
    first.stream = stream(clock)
    assert registry.streams("a") == [first.stream]
