"""How requests went, and what the requests of one level of load come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean
from typing import NamedTuple

from bench.figures import quantile


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request went. Times in seconds.

    ``amounts`` is what was done, say texts or tokens; ``error`` is empty, or what kind of failure
    it was, and ``message`` what the server said of it.
    """

    seconds: float
    amounts: Mapping[str, float] = field(default_factory=dict)
    first_s: float | None = None  # to the first text of an answer that is streamed
    token_s: float | None = None  # mean time between its tokens, after the first
    error: str = ""
    message: str = ""
    retry_after_s: float | None = None


class Times(NamedTuple):
    """Milliseconds of many requests."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


def times(seconds: list[float]) -> Times | None:
    """Quantiles are of those measured (nearest rank), never between two. None for no requests."""
    if not seconds:
        return None
    ms = [1000 * one for one in seconds]
    quantiles = (quantile(ms, share) for share in (0.5, 0.9, 0.95, 0.99, 1.0))
    return Times(mean(ms), *quantiles)


@dataclass(frozen=True)
class Level:
    """So many clients at once, each with one request after the other.

    ``seconds`` is from the first request to the last answer, ``cpu_s`` the processor time of the
    measuring process within them.
    """

    clients: int
    seconds: float
    cpu_s: float
    outcomes: list[Outcome] = field(repr=False)

    @property
    def answered(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.error]

    @property
    def errors(self) -> Counter[str]:
        return Counter(outcome.error for outcome in self.outcomes if outcome.error)

    @property
    def requests_per_s(self) -> float:
        """Of those that were answered."""
        return len(self.answered) / self.seconds

    @property
    def cpu_percent(self) -> float:
        """What measuring took of one processor."""
        return 100 * self.cpu_s / self.seconds

    def rate(self, amount: str) -> float | None:
        """How much of ``amount`` was done in a second; None where answers did not say."""
        known = [one.amounts[amount] for one in self.answered if amount in one.amounts]
        return sum(known) / self.seconds if known else None

    def times(self) -> dict[str, Times]:
        """Of those that were answered: ``latency``, and where they were streamed ``ttft`` (time to
        first token) and ``itl`` (inter-token latency)."""
        measured = {
            "latency": [one.seconds for one in self.answered],
            "ttft": [one.first_s for one in self.answered if one.first_s is not None],
            "itl": [one.token_s for one in self.answered if one.token_s is not None],
        }
        found = {name: times(seconds) for name, seconds in measured.items()}
        return {name: one for name, one in found.items() if one is not None}


@dataclass(frozen=True)
class Run:
    """The levels of one model."""

    model: str
    levels: list[Level]
