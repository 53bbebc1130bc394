"""A small world, simulated: what it holds against the real decisions, and that it adds up."""

from __future__ import annotations

import pytest

from frontend.dispatch.lane import Lane
from supervisor.residency.decisions import Residency, Unload
from supervisor.residency.resident import Resident
from tests.bench.simulation.client import Answer
from tests.bench.simulation.clock import Clock
from tests.bench.simulation.growth import slope_of
from tests.bench.simulation.node import BrokenRule
from tests.bench.simulation.perfect import perfect_waits
from tests.bench.simulation.recorded import KINDS
from tests.bench.simulation.report import report_of
from tests.bench.simulation.run import World, simulate

# So many faults that each kind of them comes about.
SMALL = World(
    nodes=20,
    models=100,
    seconds=240.0,
    per_s=2.0,
    worker_crash_every_s=600.0,
    node_crash_every_s=2400.0,
    away_s=30.0,
)


def test_nobody_is_lost_in_a_small_world_where_workers_and_boxes_die() -> None:
    outcome = simulate(SMALL)
    report = report_of(outcome)
    assert report.requests > 300
    assert report.lost == 0
    assert report.answered + sum(report.failed.values()) == report.requests
    assert outcome.tally.worker_crashes
    assert outcome.tally.node_crashes
    assert outcome.tally.evictions
    assert set(report.decisions) == {"route", "eta", "queue", "residency"}
    assert sum(each.requests for each in report.hours) >= report.requests
    assert report.perfect_s[-1] < report.wait_s[-1]


def test_the_same_seed_is_the_same_history() -> None:
    def tally() -> tuple[object, ...]:
        world = World(nodes=5, models=20, seconds=120.0, per_s=1.0)
        outcome = simulate(world)
        return outcome.tally, outcome.sent, outcome.clients.answers

    assert tally() == tally()


# --- what it raises for ---


def test_a_victim_that_was_just_loaded_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def may_leave(self: Resident, _now: float, *, late: bool) -> bool:
        return self.phase == "in" and not (self.busy and late)

    monkeypatch.setattr(Resident, "may_leave", may_leave)
    with pytest.raises(BrokenRule, match="leaves"):
        simulate(SMALL)


def test_memory_over_the_budget_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Residency, "_short_mb", lambda *_: 0)
    with pytest.raises(BrokenRule, match="MB of 3000 are taken"):
        simulate(SMALL)


def test_a_model_that_leaves_with_nobody_else_asking_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def all_leave(self: Residency, now: float) -> list[Unload]:
        there = [one for one in self._near.values() if one.phase == "in"]
        return [self._unload(one, "for nothing", now) for one in there]

    monkeypatch.setattr(Residency, "_idle", all_leave)
    with pytest.raises(BrokenRule, match="is busy and leaves for None"):
        simulate(SMALL)


def test_a_job_beyond_a_workers_credit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lane, "_roomiest", lambda self, _: next(iter(self._workers.values()), None))
    monkeypatch.setattr("frontend.dispatch.lane._Worker.free", property(lambda _: 1))
    with pytest.raises(AssertionError, match="more than it has credit for"):
        simulate(World(nodes=1, models=1, seconds=60.0, per_s=5.0))


# --- its parts ---


def test_what_is_due_happens_in_its_order_and_brings_more() -> None:
    clock, seen = Clock(), list[tuple[float, str]]()

    def note(what: str) -> None:
        seen.append((clock.now, what))

    clock.after(2.0, lambda: note("second"))
    clock.after(2.0, lambda: note("third"))
    clock.after(1.0, lambda: clock.after(0.5, lambda: note("first")))
    clock.run()
    assert seen == [(1.5, "first"), (2.0, "second"), (2.0, "third")]


def test_one_queue_in_front_of_all_places_serves_in_the_order_of_arrival() -> None:
    answers = [Answer(0.0, 0, 9.0, 10.0), Answer(1.0, 0, 9.0, 10.0), Answer(2.0, 0, 9.0, 1.0)]
    assert perfect_waits(answers, [1]) == [0.0, 9.0, 18.0]
    assert perfect_waits(answers, [2]) == [0.0, 0.0, 8.0]


def test_answers_take_as_long_as_was_recorded() -> None:
    chat = next(each for each in KINDS if each.kind.startswith("SmolLM2"))
    assert chat.write_s(106, 1) == pytest.approx(1.0)
    assert chat.write_s(59, 8) == pytest.approx(1.0)
    assert chat.write_s(59, 16) == pytest.approx(2.0)
    assert all(each.source and each.load_s for each in KINDS)
    assert sum(each.share for each in KINDS) == pytest.approx(1.0)


def test_a_slope_is_the_power_of_the_growth() -> None:
    assert slope_of([(x, 3 * x**2) for x in (1.0, 10.0, 100.0)]) == pytest.approx(2.0)
    assert slope_of([(1.0, 5.0), (10.0, 5.0)]) == pytest.approx(0.0)
