"""A worker gives back what it has freed once it has been idle, once after each time of work."""

from __future__ import annotations

import itertools

import pytest

from ipc.messages.events import Done, Event
from tests.unit.worker.test_loop import DONE, Scripted, job
from worker.loop import EngineLoop
from worker.trim import IDLE_S, IdleTrim

IDLE, WORK = "idle", "work"


@pytest.mark.parametrize(
    ("history", "due_at"),
    [
        pytest.param([(IDLE, 0), (IDLE, 60)], [], id="nothing was done"),
        pytest.param([(WORK, 0), (IDLE, 1), (IDLE, 10.9)], [], id="not yet"),
        pytest.param([(WORK, 0), (IDLE, 1), (IDLE, 11), (IDLE, 60)], [11], id="once"),
        pytest.param(
            [(WORK, 0), (IDLE, 1), (WORK, 10), (IDLE, 11), (IDLE, 20), (IDLE, 21)],
            [21],
            id="since the last job",
        ),
        pytest.param(
            [(WORK, 0), (IDLE, 1), (IDLE, 11), (WORK, 12), (IDLE, 13), (IDLE, 23)],
            [11, 23],
            id="after each",
        ),
    ],
)
def test_memory_is_given_back(history: list[tuple[str, float]], due_at: list[float]) -> None:
    trim, due = IdleTrim(), list[float]()
    for what, now in history:
        if what == WORK:
            trim.worked()
        elif trim.due(now):
            due.append(now)
    assert due == due_at


def test_the_loop_gives_back_between_jobs_and_answers_the_next_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.loop.TICK_S", 0.001)
    out: list[Event] = []
    engine = Working([Done("a", DONE)], [Done("b", DONE)])
    now, given_back_after = itertools.count(step=IDLE_S / 4), list[int]()

    def give_back() -> None:
        given_back_after.append(len(out))
        if len(out) == 1:
            loop.offer(job("b"))
        else:
            loop.finish()

    loop = EngineLoop(engine, out.extend, lambda: next(now), give_back=give_back)
    loop.offer(job("a"))
    loop.run()
    assert [event.job for event in out] == ["a", "b"]
    assert given_back_after == [1, 2]


class Working(Scripted):
    """Answers what it has admitted in one step, and has nothing to do then."""

    def step(self) -> list[Event]:
        self.admitted.clear()
        return super().step()
