"""When a job's turn comes, with literal queues."""

from __future__ import annotations

import pytest

from frontend.dispatch.estimates.schedule import Capacity, Turn, turn_behind_many, turn_of

TWO_AND_ONE = Capacity(slots=2, credit=3)


def test_who_finds_a_free_slot_begins_at_once() -> None:
    assert turn_of([5.0], [], [], TWO_AND_ONE) == Turn(0.0, 0.0)


def test_who_finds_a_place_behind_the_slots_is_handed_over_and_begins_with_the_next_end() -> None:
    assert turn_of([5.0, 3.0], [], [], TWO_AND_ONE) == Turn(0.0, 3.0)


def test_who_waits_is_handed_over_when_somebody_ends() -> None:
    assert turn_of([5.0, 3.0], [4.0], [], TWO_AND_ONE) == Turn(3.0, 5.0)


def test_who_waits_behind_others_waits_for_as_many_ends() -> None:
    # 3: the held one begins; 5: the first of those that wait; 7: the second; then it is next
    assert turn_of([5.0, 3.0], [4.0], [10.0, 1.0], TWO_AND_ONE) == Turn(7.0, 8.0)


def test_a_short_job_lets_others_pass_a_long_one() -> None:
    assert turn_of([100.0, 1.0], [], [1.0, 1.0], Capacity(2, 2)) == Turn(3.0, 3.0)


def test_a_model_without_slots_is_taken_for_one_with_one() -> None:
    assert turn_of([2.0], [], [], Capacity(0, 0)) == Turn(2.0, 2.0)


def test_a_long_queue_moves_by_whole_rounds() -> None:
    many = turn_behind_many([1.0, 1.0], [1.0], 1000, 1.0, TWO_AND_ONE)
    assert many == turn_of([1.0, 1.0], [1.0], [1.0] * 1000, TWO_AND_ONE)
    assert many.handed_over_s == pytest.approx(501.0)
