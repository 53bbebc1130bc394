"""What is measured of processes, apart from the measuring."""

from __future__ import annotations

from supervisor.process import Percent


def test_a_percentage_is_read_over_a_second_at_least() -> None:
    times = iter([0.0, 0.2, 0.9, 1.0, 1.5, 3.0])
    readings = iter([0.0, 40.0, 7.0])
    cpu = Percent(lambda: next(readings), lambda: next(times))
    assert [cpu() for _ in range(5)] == [0.0, 0.0, 40.0, 40.0, 7.0]
