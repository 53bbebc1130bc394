"""Who is next: histories of jobs that come, and of work on whoever is next."""

from __future__ import annotations

from collections import deque

from worker.fair_order import FairOrder

BATCH = 100


def served(*arrivals: tuple[int, str, int]) -> list[str]:
    """The jobs in the order in which they end, where each comes after so many tokens of work, and
    ten tokens of whoever is next are computed at a time."""
    order, left, due = FairOrder(BATCH), dict[str, int](), dict[str, float]()
    coming, done, ended = deque(arrivals), 0, list[str]()
    while coming or left:
        while coming and (coming[0][0] <= done or not left):
            _, name, tokens = coming.popleft()
            left[name], due[name] = tokens, order.due(tokens)
        name = min(left, key=lambda one: due[one])
        order.worked(10, len(left))
        left[name] -= 10
        done += 10
        if left[name] <= 0:
            del left[name]
            ended.append(name)
    return ended


def test_jobs_of_like_size_end_in_the_order_in_which_they_came() -> None:
    assert served((0, "a", 90), (0, "b", 10), (0, "c", 50), (0, "d", 70)) == ["a", "b", "c", "d"]


def test_what_is_very_small_is_next_at_once() -> None:
    assert served((0, "a", 90), (0, "b", 90), (10, "small", 6)) == ["small", "a", "b"]


def test_a_big_one_lets_those_before_that_would_be_done_sooner() -> None:
    assert served((0, "big", 1000), (10, "a", 90), (20, "b", 90)) == ["a", "b", "big"]


def test_a_big_one_is_not_passed_for_ever() -> None:
    small = [(at, f"s{at}", 100) for at in range(0, 2000, 100)]
    assert served((0, "big", 300), *small).index("big") == 4
