"""A step takes everything that other threads have brought."""

from __future__ import annotations

import threading

from worker.engines.common.arrivals import Arrivals


def test_a_step_takes_all_that_is_there_in_order() -> None:
    arrivals: Arrivals[int] = Arrivals(wait_s=0.0)
    for number in range(3):
        arrivals.put(number)
    assert arrivals.drain() == [0, 1, 2]
    assert arrivals.drain() == []


def test_it_waits_for_the_first() -> None:
    arrivals: Arrivals[str] = Arrivals(wait_s=20.0)
    threading.Timer(0.01, arrivals.put, ["late"]).start()
    assert arrivals.drain() == ["late"]
