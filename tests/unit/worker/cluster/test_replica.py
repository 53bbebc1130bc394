"""A replica, called as Ray would call it: the engine and the loop of any worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from ipc.engines import TEST_ENGINES
from ipc.messages.events import Delta, Done, Event, Failed, Terminal
from ipc.messages.jobs import ChatInput, Job, Message, Sampling
from ipc.messages.spec import Spec
from ipc.transport.wire import encode
from worker.cluster import messages
from worker.cluster.replica import Replica, Stuck

pytestmark = pytest.mark.anyio

SPEC = Spec(name="m", task="chat", engine="echo", path="", slots=2, stall_s=0.3)


@pytest.fixture
def replica(monkeypatch: pytest.MonkeyPatch) -> Replica:
    monkeypatch.setenv(TEST_ENGINES, "1")
    return Replica(msgspec.json.encode(SPEC), "digest")


def job(text: str, name: str = "a") -> list[bytes]:
    asked = ChatInput(messages=[Message("user", text)], sampling=Sampling(max_tokens=99))
    # By the asking box's clock, which is another one.
    return encode(Job(id=name, model="m", input=asked, deadline_at=-1.0))


async def answer(replica: Replica, frames: list[bytes], left_s: float = 60.0) -> list[Event]:
    events: list[Event] = []
    call = replica.answer(frames, left_s)
    async for said in call:
        events += messages.events.decode(said).events if said else []
        if events and isinstance(events[-1], Terminal):
            break
    await call.aclose()  # as a box lets it go
    return events


async def until(what: Callable[[], Awaitable[bool]]) -> bool:
    """Whether it comes about within half a minute."""
    for _ in range(3000):
        if await what():
            return True
        await asyncio.sleep(0.01)
    return False


async def has_in_hand(replica: Replica, count: int) -> bool:
    return replica._engine.counters().in_flight == count


async def is_stuck(replica: Replica) -> bool:
    try:
        await replica.check_health()
    except Stuck:
        return True
    return False


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


async def test_it_answers_as_any_worker_does(replica: Replica) -> None:
    events = await answer(replica, job("one two"))
    assert text(events) == "one two"
    assert isinstance(events[-1], Done)
    assert {event.job for event in events} == {"a"}


async def test_jobs_of_two_boxes_may_have_one_name(replica: Replica) -> None:
    both = await asyncio.gather(*(answer(replica, job(said)) for said in ("one", "two")))
    assert [text(events) for events in both] == ["one", "two"]


async def test_a_job_has_its_time_by_this_box_s_clock(replica: Replica) -> None:
    *_, end = await answer(replica, job("/slow 50 " + "w " * 99), left_s=0.2)
    assert isinstance(end, Failed)
    assert end.error.code == "deadline_exceeded"


async def test_it_says_that_it_lives_while_it_says_nothing_else(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "BEAT_S", 0.02)
    call = replica.answer(job("/slow 200 one"), 60.0)
    assert await anext(call) == messages.BEAT
    await call.aclose()


async def test_a_call_that_is_given_up_frees_its_place(replica: Replica) -> None:
    call = replica.answer(job("/slow 50 " + "w " * 99), 60.0)
    await anext(call)
    await call.aclose()
    assert await until(lambda: has_in_hand(replica, 0))
    assert replica._calls == {}


async def test_a_caller_that_does_not_let_it_go_is_broken_off(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an end: for that Ray waits until the caller has acknowledged every word."""
    monkeypatch.setattr(messages, "LET_GO_S", 0.02)
    events: list[Event] = []

    async def never_let_go() -> None:
        async for said in replica.answer(job("one two"), 60.0):
            events.extend(messages.events.decode(said).events if said else [])

    with pytest.raises(asyncio.CancelledError):
        await never_let_go()
    assert text(events) == "one two"
    assert replica._calls == {}


async def test_it_tells_what_it_runs(replica: Replica) -> None:
    told = msgspec.json.decode(await replica.told(), type=messages.Told)
    assert told.digest == "digest"
    assert told.loaded.goes_on


async def test_an_engine_that_stands_still_is_not_well(replica: Replica) -> None:
    hung = asyncio.create_task(answer(replica, job("/hang")))
    assert await until(lambda: has_in_hand(replica, 1))
    assert not await is_stuck(replica)
    assert await until(lambda: is_stuck(replica))
    hung.cancel()
