"""The loop reads prefixes again while nobody asks for anything, and nobody notices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from ipc.messages.errors import InvalidRequest
from ipc.messages.events import ChatResult, Delta, Done, Event, Failed, Usage
from ipc.messages.jobs import ChatInput, Job, Message, Sampling
from ipc.messages.spec import Loaded, Spec
from worker import loop as loops
from worker.chat.prefixes.account import PrefixAccount
from worker.chat.prefixes.form import decode
from worker.chat.prefixes.rereading import IDLE_S, Rereading
from worker.engine import BegunPrompt, Engine, LoadError, Stage
from worker.loop import EngineLoop

SYSTEM = list(range(1000, 1100))
OTHER = list(range(2000, 2100))
DONE = ChatResult(finish="stop", usage=Usage(prompt_tokens=3, completion_tokens=1))
TURN_S = 0.1
FIRST = "read-again-0"


def job(name: str) -> Job:
    asked = ChatInput(messages=[Message("user", name)], sampling=Sampling(max_tokens=1))
    return Job(id=name, model="m", input=asked, deadline_at=1e9)


class Reader(Engine):
    """An engine in which each job takes ``steps`` of them. What happens is written down."""

    def __init__(self, steps: int = 2, slots: int = 1) -> None:
        self.steps = steps
        self.slots = slots
        self.done: list[str] = []
        self.left: dict[str, int] = {}
        self.begun: list[BegunPrompt] = []
        self.breaks_at = ""

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        raise NotImplementedError

    def admit(self, asked: Job) -> bool:
        if "bad" in self.done:
            raise InvalidRequest("no such token")
        if len(self.left) == self.slots:
            return False
        self.done.append(f"begin {asked.id}")
        self.left[asked.id] = self.steps
        self.begun.append(BegunPrompt(asked.id, [*SYSTEM, len(self.done)]))
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self.left else None

    def step(self) -> list[Event]:
        events: list[Event] = []
        for name in list(self.left):
            if name == self.breaks_at:
                raise RuntimeError(name)
            self.left[name] -= 1
            events.append(Delta(name, "x"))
            if self.left[name] == 0:
                del self.left[name]
                self.done.append(f"end {name}")
                events.append(Done(name, DONE))
        return events

    def drop(self, job_id: str) -> None:
        if self.left.pop(job_id, None) is not None:
            self.done.append(f"drop {job_id}")

    def prompts_begun(self) -> list[BegunPrompt]:
        begun, self.begun = self.begun, []
        return begun

    def close(self) -> None:
        raise NotImplementedError


class Box:
    """A loop, in which time passes by turns."""

    def __init__(self, engine: Reader, *prefixes: list[int]) -> None:
        account = PrefixAccount()
        for prefix in prefixes:
            account.note([*prefix, 1])
            account.note([*prefix, 2])
        self.engine = engine
        self.out: list[Event] = []
        self.told: list[bytes] = []
        self.turns = 0
        self.loop = EngineLoop(
            engine,
            self.out.extend,
            self._now,
            rereading=Rereading(account, "m", 8, 10_000),
            tell=self.told.append,
        )

    def _now(self) -> float:
        return self.turns * TURN_S

    def run(self, turns: int, script: dict[int, Callable[[], object]] | None = None) -> list[str]:
        """What the engine was asked for in so many turns; ``script`` has what happens at which."""
        wait_s = self.engine.wait_s

        def counted() -> float | None:
            self.turns += 1
            (script or {}).get(self.turns, lambda: None)()
            if self.turns == turns:
                self.loop.finish()
            return wait_s()

        self.engine.wait_s = counted  # type: ignore[method-assign]
        self.loop.run()
        return self.engine.done


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "TICK_S", 0.0)


IDLE_TURNS = round(IDLE_S / TURN_S)


def test_idle_time_is_used_and_nobody_hears_of_it() -> None:
    box = Box(Reader(), SYSTEM)
    assert box.run(30) == [f"begin {FIRST}", f"end {FIRST}"]
    counters = box.loop.counters()
    assert (counters.jobs, counters.in_flight, counters.failed) == (0, 0, 0)
    assert (counters.prompt_tokens, counters.completion_tokens) == (0, 0)
    assert counters.reread_tokens == len(SYSTEM)
    assert box.out == []
    assert box.told == []


def test_it_is_dropped_for_a_request_before_that_is_admitted() -> None:
    box = Box(Reader(steps=6, slots=1), SYSTEM)
    at = IDLE_TURNS + 3
    done = box.run(60, {at: lambda: box.loop.offer(job("a"))})
    assert done == [f"begin {FIRST}", f"drop {FIRST}", "begin a", "end a"]
    assert [event.job for event in box.out] == ["a"] * 7


def test_it_is_not_seen_as_work_in_hand() -> None:
    box = Box(Reader(steps=6), SYSTEM)
    seen: list[int] = []
    box.run(30, {IDLE_TURNS + 3: lambda: seen.append(box.loop.counters().in_flight)})
    assert seen == [0]
    assert box.engine.done[0] == f"begin {FIRST}"


def test_it_goes_on_after_the_request() -> None:
    box = Box(Reader(steps=4, slots=1), OTHER)
    done = box.run(60, {IDLE_TURNS + 3: lambda: box.loop.offer(job("a"))})
    assert done == [
        *(f"begin {FIRST}", f"drop {FIRST}", "begin a", "end a"),
        *("begin read-again-1", "end read-again-1"),
    ]


def test_what_requests_bring_is_told_and_what_is_read_again_is_not() -> None:
    box = Box(Reader(), OTHER)
    box.run(80, {at: partial(box.loop.offer, job(str(at))) for at in (20, 25, 30)})
    assert len(box.told) == 1
    heads = decode(box.told[0]).hottest(8, 10_000)
    assert heads == [SYSTEM, OTHER]


def test_one_that_does_not_fit_the_model_is_left_alone() -> None:
    engine = Reader()
    engine.done.append("bad")
    box = Box(engine, SYSTEM)
    assert box.run(40) == ["bad"]
    assert box.loop.counters().reread_tokens == 0


def test_one_that_fails_is_not_tried_again() -> None:
    engine = Reader()
    box = Box(engine, SYSTEM)
    step = engine.step

    def failing() -> list[Event]:
        error = InvalidRequest("no").info()
        ended = [event for event in step() if isinstance(event, Done)]
        return [Failed(job=event.job, error=error) for event in ended]

    engine.step = failing  # type: ignore[method-assign]
    assert box.run(60) == [f"begin {FIRST}", f"end {FIRST}"]
    assert box.loop.counters().reread_tokens == 0


def test_an_engine_that_breaks_over_it_is_broken() -> None:
    engine = Reader()
    engine.breaks_at = FIRST
    with pytest.raises(RuntimeError):
        Box(engine, SYSTEM).run(60)


def test_a_drain_waits_for_none_of_it() -> None:
    box = Box(Reader(steps=1000), SYSTEM)
    assert box.run(IDLE_TURNS + 5) == [f"begin {FIRST}"]


def test_without_anything_known_nothing_is_done() -> None:
    assert Box(Reader()).run(40) == []


def test_a_model_that_is_gone_is_gone() -> None:
    engine = Reader()
    box = Box(engine, SYSTEM)

    def gone() -> list[Event]:
        raise LoadError("gone")

    engine.step = gone  # type: ignore[method-assign]
    with pytest.raises(LoadError):
        box.run(60)
