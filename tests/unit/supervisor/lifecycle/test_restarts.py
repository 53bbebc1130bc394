"""When a process is started again, by its failures alone; in `test_replica` by all that happens."""

from __future__ import annotations

import pytest

from supervisor.lifecycle.restarts import (
    CIRCUIT_FAILURES,
    CIRCUIT_TRIAL_S,
    CIRCUIT_WINDOW_S,
    Patience,
    Restarts,
)


def restarts(patience: Patience | None = None) -> Restarts:
    return Restarts(patience or Patience(), lambda low, high: (low + high) / 2)


def fail(
    one: Restarts, at: float, *, ran_s: float | None = None, oom: bool = False, ready: bool = False
) -> str:
    return one.on_failure(at, ran_s=ran_s, oom=oom, was_ready=ready)


def test_a_block_is_of_a_start_that_is_due_and_ends_with_it() -> None:
    one = restarts()
    one.block("GPU memory", 0.0)
    assert one.blocked_by is None
    one.at_once(1.0)
    one.block("GPU memory", 1.0)
    assert one.blocked_by == "GPU memory"
    one.on_start()
    assert (one.next_at, one.blocked_by) == (None, None)


def test_failures_that_are_older_than_the_window_open_no_circuit() -> None:
    one = restarts()
    for count in range(CIRCUIT_FAILURES - 1):
        assert fail(one, float(count)) == "backoff"
    assert fail(one, CIRCUIT_WINDOW_S + CIRCUIT_FAILURES) == "backoff"


def test_an_open_circuit_is_tried_now_and_then() -> None:
    one = restarts()
    assert [fail(one, 0.0) for _ in range(CIRCUIT_FAILURES)][-1] == "failed"
    assert one.next_at == CIRCUIT_TRIAL_S
    assert one.outlook().startswith("5 failures in 10 minutes; tried again each 5 minutes")


def test_a_run_that_was_long_enough_makes_the_backoff_begin_anew() -> None:
    one = restarts(Patience(healthy_s=60.0))
    for at in (0.0, 1.0, 2.0):
        fail(one, at)
    fail(one, 100.0, ran_s=59.0)
    assert one.next_at == 104.0
    fail(one, 200.0, ran_s=60.0)
    assert one.next_at == 200.0


@pytest.mark.parametrize(("ready", "state"), [(True, "backoff"), (False, "failed")])
def test_endless_patience_is_for_what_was_ready_once(ready: bool, state: str) -> None:
    one = restarts(Patience(backoff_max_s=30.0, endless=True))
    states = [fail(one, float(at), ready=ready) for at in range(50)]
    assert states[-1] == state


def test_nothing_counts_that_was_before_somebody_had_a_look() -> None:
    one = restarts()
    fail(one, 0.0, oom=True)
    one.forgive()
    assert fail(one, 1.0, oom=True) == "backoff"
    assert one.next_at == 1.0
