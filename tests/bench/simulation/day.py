"""The requests of a day: sessions of one client with one model, more of them by day than by night.

Nobody waits for an answer to ask again: who asks is not slowed down by who answers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.bench.simulation.catalog import Catalog, Model
from tests.bench.simulation.clock import Clock

DAY_S = 86_400.0
# By how much the busiest hour is above the mean, and the quietest below it.
SWING = 0.6
# Of a session, on average: how many requests, and how far apart.
SESSION_REQUESTS = 4
APART_S = 30.0
# Tokens of an answer: half are shorter, few are ten times as long.
USUAL_TOKENS = 100
TOKENS_SPREAD = 0.8
MOST_TOKENS = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as its client sends it."""

    number: int
    model: Model
    client: str
    tokens: int  # of its answer


@dataclass
class Day:
    """Sends requests to ``send``, ``per_s`` on average, for so many seconds from now on. The part
    of a day that is simulated begins ``starts_at`` seconds after midnight."""

    clock: Clock
    catalog: Catalog
    send: Callable[[Asked], None]
    chance: random.Random
    per_s: float
    seconds: float
    starts_at: float = 0.0
    sent: int = 0
    _sessions: int = 0

    def begin(self) -> None:
        self._wait()

    def _wait(self) -> None:
        """For the next session: drawn at the highest rate, and let in by that of the hour."""
        apart_s = self.chance.expovariate(self.per_s * (1 + SWING) / SESSION_REQUESTS)
        if self.clock.now + apart_s < self.seconds:
            self.clock.after(apart_s, self._come)

    def _come(self) -> None:
        hour = 2 * math.pi * (self.starts_at + self.clock.now) / DAY_S
        if self.chance.random() * (1 + SWING) < 1 - SWING * math.cos(hour):
            self._open()
        self._wait()

    def _open(self) -> None:
        self._sessions += 1
        model, client = self.catalog.any(self.chance), f"client-{self._sessions}"
        at = 0.0
        while True:
            if self.clock.now + at < self.seconds:
                self.clock.after(at, partial(self._ask, model, client))
            if self.chance.random() < 1 / SESSION_REQUESTS:
                return
            at += self.chance.expovariate(1 / APART_S)

    def _ask(self, model: Model, client: str) -> None:
        self.sent += 1
        tokens = self.chance.lognormvariate(math.log(USUAL_TOKENS), TOKENS_SPREAD)
        self.send(Asked(self.sent, model, client, min(MOST_TOKENS, max(1, round(tokens)))))
