"""The engine loop's ledger: each job ends exactly once, whatever the engine does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from itertools import chain, repeat

import pytest
from msgspec.structs import replace

from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest
from ipc.messages.events import (
    ChatResult,
    Consumed,
    Delta,
    Done,
    Event,
    Failed,
    Marks,
    Prefilled,
    Terminal,
    Usage,
)
from ipc.messages.jobs import (
    ChatInput,
    Job,
    Message,
    More,
    Sampling,
    SpeechInput,
    TokenizeInput,
)
from ipc.messages.spec import Loaded, Spec
from worker.engine import Engine, LoadError, Stage
from worker.loop import EngineLoop

DONE = ChatResult(finish="stop", usage=Usage(prompt_tokens=3, completion_tokens=1))


def job(name: str, deadline_at: float = 1e9) -> Job:
    asked = ChatInput(messages=[Message("user", name)], sampling=Sampling(max_tokens=1))
    return Job(id=name, model="m", input=asked, deadline_at=deadline_at)


class Scripted(Engine):
    """An engine whose steps are given; with no more steps it stays busy and silent."""

    def __init__(self, *steps: list[Event] | Exception, slots: int = 8) -> None:
        self.steps = list(steps)
        self.slots = slots
        self.admitted: list[str] = []
        self.dropped: list[str] = []
        self.on_step: Callable[[], None] = lambda: None

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        raise NotImplementedError

    def admit(self, asked: Job) -> bool:
        if asked.id.startswith("bad"):
            raise InvalidRequest("bad")
        if asked.id.startswith("bug"):
            raise KeyError("bug")
        if len(self.admitted) >= self.slots:
            return False
        self.admitted.append(asked.id)
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self.admitted else None

    def step(self) -> list[Event]:
        self.on_step()
        step = self.steps.pop(0) if self.steps else []
        if isinstance(step, Exception):
            raise step
        return step

    def drop(self, job_id: str) -> None:
        self.dropped.append(job_id)

    def close(self) -> None:
        raise NotImplementedError


class Told(list[Event]):
    """What has come out, less what is told of times."""

    def extend(self, events: Iterable[Event]) -> None:
        super().extend(
            replace(event, marks=None) if isinstance(event, Terminal) else event for event in events
        )


@pytest.fixture
def out() -> list[Event]:
    return Told()


def run(
    engine: Scripted, out: list[Event], *jobs: Job, clock: Callable[[], float] | None = None
) -> EngineLoop:
    """Offer ``jobs``, then finish; returns when every job has ended."""
    loop = EngineLoop(engine, out.extend, clock or (lambda: 0.0))
    for each in jobs:
        loop.offer(each)

    def finish_when_out_of_steps() -> None:
        if not engine.steps:
            loop.finish()
            for name in engine.admitted:
                loop.cancel(name)

    engine.on_step = finish_when_out_of_steps
    loop.run()
    return loop


def terminals(out: list[Event]) -> list[str]:
    return [event.job for event in out if not isinstance(event, Delta)]


def test_events_pass_through_in_order(out: list[Event]) -> None:
    run(Scripted([Delta("a", "x")], [Done("a", DONE)]), out, job("a"))
    assert out == [Delta("a", "x"), Done("a", DONE)]


def test_an_engine_that_ends_a_job_twice_is_heard_once(out: list[Event]) -> None:
    run(Scripted([Done("a", DONE), Done("a", DONE)], [Delta("a", "late")]), out, job("a"), job("b"))
    assert out.count(Done("a", DONE)) == 1
    assert sorted(terminals(out)) == ["a", "b"]
    assert Delta("a", "late") not in out


def test_a_refused_job_fails_alone(out: list[Event]) -> None:
    run(Scripted([Done("a", DONE)]), out, job("bad"), job("a"))
    failed = [event for event in out if isinstance(event, Failed)]
    assert [(event.job, event.error.code, event.began) for event in failed] == [
        ("bad", "invalid_value", True)
    ]
    assert Done("a", DONE) in out


def test_an_engine_that_breaks_on_taking_a_job_fails_that_job_alone(out: list[Event]) -> None:
    counters = run(Scripted([Done("a", DONE)]), out, job("bug"), job("a")).counters()
    assert [(e.job, e.error.code) for e in out if isinstance(e, Failed)] == [
        ("bug", "internal_error")
    ]
    assert Done("a", DONE) in out
    assert (counters.jobs, counters.failed) == (1, 1)


def test_a_model_that_is_gone_ends_no_job_itself(out: list[Event]) -> None:
    """The process must end, and its jobs with it, as in a crash."""
    loop = EngineLoop(Scripted(LoadError("gone")), out.extend, lambda: 0.0)
    loop.offer(job("a"))
    with pytest.raises(LoadError):
        loop.run()
    assert out == []
    assert loop.counters().in_flight == 1


def test_a_broken_engine_ends_every_job_and_is_raised(out: list[Event]) -> None:
    engine = Scripted(RuntimeError("boom"), slots=1)
    loop = EngineLoop(engine, out.extend, lambda: 0.0)
    loop.offer(job("a"))
    loop.offer(job("b"))
    with pytest.raises(RuntimeError, match="boom"):
        loop.run()
    assert sorted(terminals(out)) == ["a", "b"]
    assert loop.counters().in_flight == 0


def test_a_cancelled_job_is_dropped_and_ended(out: list[Event]) -> None:
    engine = Scripted()
    run(engine, out, job("a"))
    assert "a" in engine.dropped
    assert [(e.job, e.error.code) for e in out if isinstance(e, Failed)] == [
        ("a", "client_closed_request")
    ]


def test_a_job_that_is_cancelled_while_it_waits_never_begins(out: list[Event]) -> None:
    engine = Scripted([], [Done("a", DONE)], [Done("c", DONE)], slots=1)
    loop = EngineLoop(engine, out.extend, lambda: 0.0)
    for name in ("a", "b", "c"):
        loop.offer(job(name))

    def cancel_then_finish() -> None:
        loop.cancel("b")
        loop.cancel("unknown")
        engine.slots = 2
        engine.on_step = loop.finish

    engine.on_step = cancel_then_finish
    loop.run()
    assert engine.admitted == ["a", "c"]
    assert engine.dropped == ["b"]
    assert terminals(out) == ["b", "a", "c"]


def test_what_is_in_the_mailbox_counts_as_in_flight(out: list[Event]) -> None:
    loop = EngineLoop(Scripted(), out.extend)
    loop.offer(job("a"))
    assert loop.counters().in_flight == 1


def test_deadlines_are_looked_at_however_long_the_engine_waits(out: list[Event]) -> None:
    engine = Scripted()
    loop = EngineLoop(engine, out.extend)
    once = iter([loop.finish])

    def wait_long() -> float:
        next(once, lambda: None)()
        return 3600.0

    engine.wait_s = wait_long  # type: ignore[method-assign]
    thread = threading.Thread(target=loop.run, daemon=True)
    loop.offer(job("a", deadline_at=time.monotonic() + 0.2))
    thread.start()
    thread.join(timeout=30)
    assert [e.error.code for e in out if isinstance(e, Failed)] == ["deadline_exceeded"]


@pytest.mark.parametrize("now", [1.0, 2.0])
def test_a_job_at_its_deadline_is_ended(out: list[Event], now: float) -> None:
    engine = Scripted()
    times = chain([0.0, 0.0], repeat(now))
    loop = EngineLoop(engine, out.extend, lambda: next(times))
    loop.offer(job("a", deadline_at=1.0))
    engine.on_step = loop.finish
    loop.run()
    assert engine.dropped == ["a"]
    assert [e.error.code for e in out if isinstance(e, Failed)] == ["deadline_exceeded"]


def test_an_engine_without_a_tokenizer_is_asked_for_no_tokens(out: list[Event]) -> None:
    engine = Scripted([], [Done("a", DONE)])
    loop = EngineLoop(engine, out.extend, lambda: 0.0, tokenizes=False)
    asked = TokenizeInput(texts=[""])
    loop.offer(Job(id="tokens", model="m", input=asked, deadline_at=1e9))
    loop.offer(job("a"))
    engine.on_step = loop.finish
    loop.run()
    assert engine.admitted == ["a"]
    (refused,) = (event for event in out if isinstance(event, Failed))
    assert (refused.job, refused.error.code) == ("tokens", "invalid_value")


def test_what_has_not_begun_when_the_loop_finishes_may_be_queued_again(out: list[Event]) -> None:
    engine = Scripted([], [Done("a", DONE)], slots=1)
    loop = EngineLoop(engine, out.extend, lambda: 0.0)
    for name in ("a", "b"):
        loop.offer(job(name))
    engine.on_step = loop.finish
    loop.run()
    assert [(e.job, e.began) for e in out if isinstance(e, Failed)] == [("b", False)]
    assert Done("a", DONE) in out


def test_what_is_offered_while_the_loop_finishes_may_be_queued_again(out: list[Event]) -> None:
    engine = Scripted([], [Done("a", DONE)], AssertionError("it goes on with another job"))
    loop = EngineLoop(engine, out.extend, lambda: 0.0)
    loop.offer(job("a"))

    def finish_and_offer() -> None:
        loop.finish()
        loop.offer(job("b"))
        engine.on_step = lambda: None

    engine.on_step = finish_and_offer
    loop.run()
    assert engine.admitted == ["a"]
    assert [(e.job, e.error.code, e.began) for e in out if isinstance(e, Failed)] == [
        ("b", "draining", False)
    ]
    assert Done("a", DONE) in out


def test_a_job_may_be_called_like_one_that_nobody_waits_for_any_more(out: list[Event]) -> None:
    """Its frontend has died, and a client of the next one asks by the same id, while a step lasts
    that brings more of the first answer: nobody is told of that."""
    engine = Scripted([Delta("a", "x")], [Done("a", DONE)])
    loop = EngineLoop(engine, out.extend, lambda: 0.0)
    loop.offer(job("a"))

    def begin_anew() -> None:
        loop.forget("a")
        loop.offer(job("a"))
        engine.on_step = loop.finish

    engine.on_step = begin_anew
    loop.run()
    assert out == [Done("a", DONE)]
    assert (engine.admitted, engine.dropped) == (["a", "a"], ["a"])


def test_it_sleeps_while_idle_and_wakes_for_mail(out: list[Event]) -> None:
    loop = EngineLoop(Scripted([Done("a", DONE)]), out.extend)
    thread = threading.Thread(target=loop.run)
    thread.start()
    loop.offer(job("a", deadline_at=1e12))
    loop.finish()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert terminals(out) == ["a"]


def test_an_end_tells_what_was_when_since_the_job_arrived() -> None:
    out: list[Event] = []
    now = 100.0
    engine = Scripted([], [Delta("a", "x")], [Delta("a", "y")], [Done("a", DONE)])
    loop = EngineLoop(engine, out.extend, lambda: now)
    loop.offer(job("a", deadline_at=1e9))
    now = 103.0

    def pass_a_second() -> None:
        nonlocal now
        now += 1.0
        loop.finish()

    engine.on_step = pass_a_second
    loop.run()
    marks = Marks(began_s=3.0, first_s=5.0, ended_s=7.0, steps=4)
    assert out[-1] == Done("a", DONE, marks=marks)


def test_a_failure_tells_it_too_and_what_never_was_is_not_told() -> None:
    out: list[Event] = []
    now = 100.0
    loop = EngineLoop(Scripted(slots=0), out.extend, lambda: now)
    loop.offer(job("a", deadline_at=101.0))
    now = 102.0
    loop.finish()
    loop.run()
    (failed,) = out
    assert isinstance(failed, Failed)
    assert failed.marks == Marks(ended_s=2.0)


def test_what_batching_and_the_cache_did_is_counted(out: list[Event]) -> None:
    done: list[Event] = [
        Done("a", DONE, cache_hits=3, cache_misses=1, padding_tokens=5),
        Done("b", DONE, cache_misses=2, padding_tokens=2),
    ]
    counters = run(Scripted(done), out, job("a"), job("b")).counters()
    assert (counters.cache_hits, counters.cache_misses, counters.padding_tokens) == (3, 3, 7)


def test_the_engine_is_asked_once_a_turn_whether_to_step(out: list[Event]) -> None:
    engine = Scripted([], [], [Done("a", DONE)])
    asked: list[float | None] = []
    wait_s = engine.wait_s

    def counted() -> float | None:
        asked.append(wait_s())
        return asked[-1]

    engine.wait_s = counted  # type: ignore[method-assign]
    loop = run(engine, out, job("a"))
    assert len(asked) == loop.counters().progress


def test_the_work_on_what_was_answered_is_counted(out: list[Event]) -> None:
    engine = Scripted([Done("a", DONE)], [Failed(job="b", error=InvalidRequest("no").info())])
    clock = iter(range(100))
    loop = EngineLoop(engine, out.extend, lambda: float(next(clock)))
    loop.offer(job("a"))
    loop.offer(job("b"))
    engine.on_step = lambda: None if engine.steps else loop.finish()
    loop.run()
    assert loop.counters().work_s > 0


def test_totals_are_counted(out: list[Event]) -> None:
    loop = run(Scripted([Delta("a", "x", 2)], [Done("a", DONE)]), out, job("a"))
    counters = loop.counters()
    assert (counters.jobs, counters.prompt_tokens, counters.completion_tokens) == (1, 3, 2)
    assert counters.progress > 0


def test_a_job_whose_prompt_is_still_read_goes_on(out: list[Event]) -> None:
    progress = Prefilled("a", 4, 9, 1.0)
    loop = run(Scripted([progress], [Delta("a", "x")], [Done("a", DONE)]), out, job("a"))
    assert [type(event) for event in out] == [Prefilled, Delta, Done]
    assert loop.counters().completion_tokens == 1


def test_how_far_a_dropped_job_was_is_told_to_nobody(out: list[Event]) -> None:
    engine = Scripted([Prefilled("gone", 4, 9, 1.0)], [Done("a", DONE)])
    run(engine, out, job("a"))
    assert [event.job for event in out] == ["a"]


class Fed(Scripted):
    """An engine that takes its jobs' input in pieces."""

    def __init__(self, *, slots: int = 8) -> None:
        super().__init__(slots=slots)
        self.fed: list[tuple[str, int]] = []

    def more(self, more: More) -> None:
        if more.data.data == b"bad":
            raise InvalidRequest("no sound")
        if more.data.data == b"bug":
            raise KeyError("bug")
        self.fed.append((more.job, more.number))
        self.steps.append([Consumed(more.job, more.number + 1)])

    def drop(self, job_id: str) -> None:
        super().drop(job_id)
        self.admitted.remove(job_id)


def streamed(name: str) -> Job:
    asked = SpeechInput(audio=Blob(b""), streamed=True)
    return Job(id=name, model="m", input=asked, deadline_at=1e9)


def piece(name: str, number: int, data: bytes = b"x") -> More:
    return More(job=name, number=number, data=Blob(data))


def fed(engine: Fed, *mail: Job | More | str, takes: bool = True) -> list[Event]:
    """What comes of jobs, of pieces and of cancellations."""
    told = Told()
    loop = EngineLoop(engine, told.extend, streams_input=takes)
    for each in mail:
        if isinstance(each, Job):
            loop.offer(each)
        elif isinstance(each, More):
            loop.more(each)
        else:
            loop.cancel(each)
        loop._turn()
    loop._turn()
    return [replace(one, marks=None) if isinstance(one, Failed) else one for one in told]


def test_input_goes_to_the_engine_once_its_job_is_admitted() -> None:
    engine = Fed(slots=1)
    told = fed(engine, streamed("a"), streamed("b"), piece("b", 0), piece("a", 0), piece("b", 1))
    assert engine.fed == [("a", 0)]
    assert told == [Consumed("a", 1)]
    engine = Fed(slots=1)
    fed(engine, streamed("a"), streamed("b"), piece("b", 0), "a", piece("b", 1))
    assert engine.fed == [("b", 0), ("b", 1)]


def test_what_is_wrong_with_input_ends_its_job_alone() -> None:
    engine = Fed()
    told = fed(engine, streamed("a"), streamed("b"), piece("a", 0, b"bad"), piece("a", 1))
    assert told == [Failed(job="a", error=InvalidRequest("no sound").info())]
    assert engine.admitted == ["b"]
    told = fed(Fed(), streamed("a"), piece("a", 0, b"bug"))
    assert [event.job for event in told if isinstance(event, Failed)] == ["a"]


def test_input_of_a_job_that_has_ended_is_nobodys() -> None:
    engine = Fed()
    fed(engine, streamed("a"), "a", piece("a", 0), piece("never", 0))
    assert engine.fed == []


def test_an_engine_that_takes_no_input_in_pieces_is_not_asked() -> None:
    engine = Fed()
    (told,) = fed(engine, streamed("a"), piece("a", 0), takes=False)
    assert isinstance(told, Failed)
    assert told.error.param == "model"
    assert not engine.fed
    assert not engine.admitted
