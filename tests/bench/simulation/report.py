"""What a simulation has shown, in numbers that are kept and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from tests.bench.simulation.perfect import perfect_waits
from tests.bench.simulation.run import Outcome

# Of how many requests as many parts have waited for less.
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1.0)


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """``hits`` are requests that found their model loaded where they were sent first."""

    requests: int
    hits: int
    loads: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """``failed`` are requests that their clients gave up after their repeats, by code, ``lost``
    those that were neither answered nor refused. Waits are by `QUANTILES`, in seconds, from when a
    request was first sent until a worker had it; ``perfect_s`` is the same of one queue for all
    boxes of a model, each of which had it loaded. ``each_us`` is what a decision took, by kind."""

    world: dict[str, Any]
    requests: int
    answered: int
    failed: dict[str, int]
    lost: int
    repeated: int
    passed_on: int
    hits: float
    tally: dict[str, Any]
    events: int
    decisions: dict[str, int]
    decisions_per_s: float
    each_us: dict[str, float]
    wait_s: list[float]
    perfect_s: list[float]
    hours: list[Hour]


def report_of(outcome: Outcome) -> Report:
    sent, tally, meter, clients = outcome.sent, outcome.tally, outcome.meter, outcome.clients
    counts = asdict(tally)
    loads_by_hour = counts.pop("loads_by_hour")
    hours = [
        Hour(
            requests=sent.first_by_hour[hour],
            hits=sent.hits_by_hour[hour],
            loads=loads_by_hour.get(hour, 0),
        )
        for hour in range(max(sent.first_by_hour, default=-1) + 1)
    ]
    return Report(
        world=asdict(outcome.world),
        requests=outcome.requests,
        answered=len(clients.answers),
        failed=dict(clients.failed),
        lost=outcome.lost,
        repeated=clients.repeated,
        passed_on=sent.passed_on,
        hits=sent.hits / max(1, sent.first),
        tally=counts,
        events=outcome.happened,
        decisions=dict(meter.counts),
        decisions_per_s=meter.per_second,
        each_us=meter.each_us(),
        wait_s=_quantiles([each.wait_s for each in clients.answers]),
        perfect_s=_quantiles(perfect_waits(clients.answers, outcome.places)),
        hours=hours,
    )


def told(report: Report) -> str:
    """The same for people."""
    each = ", ".join(f"{kind} {us:.0f}" for kind, us in sorted(report.each_us.items()))
    return "\n".join(
        [
            f"requests {report.requests:,}, answered {report.answered:,}, failed "
            f"{report.failed or 0}, lost {report.lost}",
            f"found their model loaded {report.hits:.1%}, repeated by clients {report.repeated}, "
            f"passed on to another box {report.passed_on}",
            ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in report.tally.items()),
            f"decisions {sum(report.decisions.values()):,}, {report.decisions_per_s:,.0f} a second "
            f"of processor time; microseconds of each: {each}",
            "wait, s: " + _waits(report.wait_s),
            "one queue: " + _waits(report.perfect_s),
        ]
    )


def _waits(seconds: Sequence[float]) -> str:
    shown = zip(QUANTILES, seconds, strict=True)
    return ", ".join(f"{100 * part:g} % {value:.2f}" for part, value in shown)


def _quantiles(values: Sequence[float]) -> list[float]:
    ordered = sorted(values) or [0.0]
    return [ordered[min(len(ordered) - 1, int(part * len(ordered)))] for part in QUANTILES]
