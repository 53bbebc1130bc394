"""Clients, who repeat what failed as SDKs do, and what they see of it all."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from ipc.messages.errors import ServeError
from tests.bench.simulation.clock import Clock
from tests.bench.simulation.day import Asked
from tests.bench.simulation.node import BrokenRule, ConnectionLost, End
from tests.bench.simulation.router import Router

# Of OpenAI's clients (openai-python 3.57.0, `_constants.py`).
MOST_REPEATS = 2
FIRST_WAIT_S = 0.5
MOST_WAIT_S = 8.0
MOST_RETRY_AFTER_S = 60.0


class Answer(NamedTuple):
    """When a request was sent first, how long it waited until a worker had it that has answered it,
    and for how long it was worked on."""

    sent_at: float
    rank: int  # of its model: how many are asked for more often
    wait_s: float
    work_s: float


@dataclass(slots=True)
class Clients:
    """Owns what has become of each request; none is answered twice."""

    router: Router
    clock: Clock
    chance: random.Random
    open: dict[int, float] = field(default_factory=dict)  # when each was first sent
    repeated: int = 0
    failed: Counter[str] = field(default_factory=Counter)  # by the error's code
    answers: list[Answer] = field(default_factory=list)

    def send(self, asked: Asked) -> None:
        self.open[asked.number] = self.clock.now
        self._try(asked, 0)

    def _try(self, asked: Asked, repeats: int) -> None:
        self.router.ask(asked, partial(self._hear, asked, repeats))

    def _hear(self, asked: Asked, repeats: int, end: End) -> None:
        if asked.number not in self.open:
            raise BrokenRule(f"request {asked.number} was answered twice")
        error = end.error
        if error is None:
            self._note(asked, end)
        elif repeats < MOST_REPEATS and _is_repeated(error):
            self.repeated += 1
            self.clock.after(self._wait_s(error, repeats), partial(self._try, asked, repeats + 1))
        else:
            del self.open[asked.number]
            self.failed["cut" if isinstance(error, ConnectionLost) else error.code] += 1

    def _note(self, asked: Asked, end: End) -> None:
        if end.begun_at is None:
            raise BrokenRule(f"request {asked.number} was answered and never begun")
        sent_at, now = self.open.pop(asked.number), self.clock.now
        waited_s, worked_s = end.begun_at - sent_at, now - end.begun_at
        self.answers.append(Answer(sent_at, asked.model.rank, waited_s, worked_s))

    def _wait_s(self, error: ServeError, repeats: int) -> float:
        told_s = error.retry_after_s
        if told_s is not None and 0 < told_s <= MOST_RETRY_AFTER_S:
            return told_s
        waits_s = min(FIRST_WAIT_S * 2.0**repeats, MOST_WAIT_S)
        return waits_s * (1 - self.chance.random() / 4)


def _is_repeated(error: ServeError) -> bool:
    if isinstance(error, ConnectionLost):
        return True
    if error.should_retry is not None:
        return error.should_retry
    return error.status in (408, 409, 429) or error.status >= 500
