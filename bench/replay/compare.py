"""What came then beside what comes now, by kinds of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.replay.recording import Outcome, Recorded


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests that are alike: of the same ``model`` and ``task``, streams or not."""

    model: str
    task: str
    streams: bool

    def __str__(self) -> str:
        return f"{self.model} {self.task}{' stream' if self.streams else ''}"


@dataclass(frozen=True, slots=True)
class Side:
    """How they went; times are medians of those that were answered."""

    count: int
    ended: Counter[str]
    first_s: float | None
    total_s: float | None
    tokens: int

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Side:
        good = [one for one in outcomes if one.ended == "ok"]
        return cls(
            len(outcomes),
            Counter(one.ended for one in outcomes),
            _median(one.first_s for one in good),
            _median(one.total_s for one in good),
            sum(one.tokens or 0 for one in outcomes),
        )

    def report(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "requests": self.count,
            "ended": dict(self.ended.most_common()),
            "first_s": self.first_s,
            "total_s": self.total_s,
            "tokens": self.tokens,
        }


def compared(
    requests: Sequence[Recorded], outcomes: Sequence[Outcome]
) -> list[tuple[Kind, Side, Side]]:
    """Each kind, then and now."""
    groups: dict[Kind, list[tuple[Outcome, Outcome]]] = {}
    for one, now in zip(requests, outcomes, strict=True):
        kind = Kind(one.model, one.kind, one.streams)
        groups.setdefault(kind, []).append((one.outcome, now))
    return [
        (kind, Side.of([then for then, _ in pairs]), Side.of([now for _, now in pairs]))
        for kind, pairs in groups.items()
    ]


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 4) if known else None
