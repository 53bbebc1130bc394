"""How fast an engine is: what is counted, and that it ends however the engine behaves."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from ipc.messages.errors import InternalError
from ipc.messages.events import ChatResult, Delta, Done, Event, Failed, Usage
from ipc.messages.jobs import ChatInput, Job
from ipc.messages.spec import Loaded, Spec
from worker import pace
from worker.engine import Engine, LoadError

SPEC = Spec(name="m", task="chat", engine="openvino", path="m.gguf", slots=4)


def _chat(job: Job) -> ChatInput:
    assert isinstance(job.input, ChatInput)
    return job.input


class Script(Engine):
    """Writes a token for each job in a step, which takes 10 ms of the test's clock; a prompt takes
    a step for each 100 tokens."""

    def __init__(self, clock: list[float], *, ends_after: int = 10**6, fails: bool = False) -> None:
        self._clock = clock
        self._ends_after, self._fails = ends_after, fails
        self.written: dict[str, int] = {}
        self.jobs: dict[str, Job] = {}
        self.prompts: list[str] = []

    def load(self, spec: Spec, stage: object) -> Loaded:
        raise NotImplementedError

    def admit(self, job: Job) -> bool:
        self.jobs[job.id], self.written[job.id] = job, 0
        self.prompts.append(str(_chat(job).messages[0].content))
        return True

    def step(self) -> list[Event]:
        self._clock[0] += 0.01
        events: list[Event] = []
        for name, job in list(self.jobs.items()):
            if self._fails:
                return [Failed(job=name, error=InternalError("broken").info())]
            if _chat(job).sampling.max_tokens == 1:
                self._clock[0] += 1.99
            self.written[name] += 1
            events.append(Delta(name, "x"))
            if self.written[name] >= min(_chat(job).sampling.max_tokens, self._ends_after):
                del self.jobs[name]
                usage = Usage(prompt_tokens=300, completion_tokens=1)
                events.append(Done(name, ChatResult(finish="length", usage=usage)))
        return events

    def wait_s(self) -> float | None:
        return 0.0

    def drop(self, job_id: str) -> None:
        self.jobs.pop(job_id, None)

    def close(self) -> None:
        return


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda _s: None)
    return now


def test_tokens_a_second_alone_and_together_and_of_a_prompt(clock: list[float]) -> None:
    engine = Script(clock)
    found = pace.measured(engine, SPEC)
    assert found.alone_per_s == pytest.approx(100, rel=0.02)
    assert found.full_per_s == pytest.approx(400, rel=0.02)
    assert found.prompt_per_s == pytest.approx(150, rel=0.02)
    assert not engine.jobs
    assert clock[0] < 15


def test_no_two_prompts_begin_alike(clock: list[float]) -> None:
    engine = Script(clock)
    pace.measured(engine, SPEC)
    firsts: Sequence[str] = [text.split()[0] for text in engine.prompts[1:]]
    assert len(set(firsts)) == len(firsts)


def test_answers_that_end_early_are_counted_to_their_end(clock: list[float]) -> None:
    found = pace.measured(Script(clock, ends_after=30), SPEC)
    assert found.alone_per_s == pytest.approx(100, rel=0.05)


def test_an_engine_that_fails_is_told(clock: list[float]) -> None:
    with pytest.raises(LoadError, match="broken"):
        pace.measured(Script(clock, fails=True), SPEC)


def test_an_engine_that_says_nothing_is_given_up(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Script(clock)
    monkeypatch.setattr(engine, "admit", lambda _job: False)
    with pytest.raises(LoadError, match="no answer within"):
        pace.measured(engine, SPEC)
    assert clock[0] < 120
