"""How long work takes by its size, learned from what it took."""

from __future__ import annotations

import pytest

from frontend.dispatch.estimates.durations import Durations, Line


def line(*points: tuple[float, float]) -> Line:
    made = Line()
    for size, seconds in points:
        made.learn(size, seconds)
    return made


def test_one_measurement_is_taken_in_proportion() -> None:
    assert line((100, 2.0)).at(50) == pytest.approx(1.0)


def test_sizes_that_are_alike_are_taken_in_proportion() -> None:
    assert line((100, 2.0), (101, 2.2), (99, 1.8)).at(200) == pytest.approx(4.0, rel=0.05)


def test_what_every_job_takes_is_told_from_what_grows_with_its_size() -> None:
    assert line((10, 1.1), (100, 2.0), (200, 3.0)).at(300) == pytest.approx(4.0)


def test_what_takes_longer_by_more_than_its_size_goes_through_zero() -> None:
    assert line((10, 0.1), (100, 2.0)).at(0) == 0.0


def test_what_takes_no_longer_if_it_is_larger_takes_the_mean() -> None:
    found = line((10, 2.0), (1000, 1.0)).at(500)
    assert 1.0 < found < 2.0


def test_what_has_no_size_takes_what_it_took() -> None:
    assert line((0, 0.2), (0, 0.2)).at(0) == pytest.approx(0.2)


def test_old_measurements_fade() -> None:
    made = line(*[(10, 1.0)] * 50, *[(10, 3.0)] * 30)
    assert made.at(10) == pytest.approx(3.0, rel=0.05)


def test_nothing_is_known_of_a_kind_that_was_never_measured() -> None:
    durations = Durations()
    assert not durations.known
    durations.learn("wav", 10, 1.0, 1)
    assert durations.known
    assert durations.expect("mp3", 10, 1) is None


def test_each_concurrency_has_its_own() -> None:
    durations = Durations()
    durations.learn("", 10, 1.0, 1)
    durations.learn("", 10, 4.0, 8)
    assert [durations.expect("", 10, beside) for beside in (1, 7, 8)] == [1.0, 4.0, 4.0]


def test_what_is_not_known_of_a_concurrency_is_taken_from_the_nearest() -> None:
    durations = Durations()
    durations.learn("", 10, 1.0, 1)
    assert durations.expect("", 10, 4) == pytest.approx(2.0)
    durations.learn("", 10, 3.0, 8)
    assert durations.expect("", 10, 16) == pytest.approx(3.0 * 2**0.5)
