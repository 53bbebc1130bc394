"""How long a step takes by its tokens, from the steps that were."""

from __future__ import annotations

import pytest

from worker.chat.lookup.step_seconds import StepSeconds


def known(*steps: tuple[int, float]) -> StepSeconds:
    made = StepSeconds()
    for tokens, seconds in steps:
        made.observe(tokens, seconds)
    return made


def test_a_token_is_taken_for_a_tenth_of_a_step_until_more_is_known() -> None:
    assert known().estimate(11) == pytest.approx(2.0)
    assert known((1, 0.5)).estimate(11) == pytest.approx(1.0)


def test_between_two_sizes_it_is_between_them() -> None:
    made = known((1, 1.0), (5, 2.0))
    assert [made.estimate(tokens) for tokens in (1, 2, 3, 5)] == pytest.approx([1, 1.25, 1.5, 2])


def test_beyond_the_largest_it_grows_as_before_anything_was_known() -> None:
    assert known((1, 1.0), (11, 4.0)).estimate(21) == pytest.approx(6.0)


def test_the_newest_steps_count_most() -> None:
    made = known((1, 1.0), *[(1, 2.0)] * 20)
    assert made.estimate(1) == pytest.approx(2.0, abs=0.05)


def test_one_step_beside_others_that_compute_says_little() -> None:
    assert known((1, 1.0), (1, 100.0)).estimate(1) == pytest.approx(1.2)


def test_one_that_was_quicker_says_more() -> None:
    assert known((1, 2.0), (1, 1.0)).estimate(1) == pytest.approx(1.5)


def test_what_a_larger_step_should_take_is_told_by_a_smaller_one_alone() -> None:
    assert known((1, 1.0), (11, 40.0)).extended(11, 1) == pytest.approx(2.0)
