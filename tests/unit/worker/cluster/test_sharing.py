"""How boxes share replicas: how many jobs each may have there, and whose word still counts."""

from __future__ import annotations

import pytest

from ipc.messages.control import Wanted
from worker.cluster.sharing import GONE_S, Heard, Replicas, Said, room, shared

BUSY = Wanted(waiting=3, in_hand=4, wait_s=2.0, jobs=10, work=100.0)


@pytest.mark.parametrize(
    ("ready", "others", "expected"),
    [
        (2, [], 16),  # whoever is alone has all
        (2, [0, 0], 16),  # who wants nothing takes nothing
        (2, [5], 11),
        (2, [16], 8),  # an equal part is left to everyone
        (2, [8, 8], 5),
        (0, [], 8),  # the next one is waited for
        (1, [8] * 20, 1),
    ],
)
def test_a_box_may_have_what_others_leave_and_always_its_part(
    ready: int, others: list[int], expected: int
) -> None:
    assert room(8, ready, others) == expected


def test_who_wants_much_gives_way_to_who_comes_later() -> None:
    """Two boxes that want all that there is end with half of it each."""
    first, second = 16, 0
    for _ in range(3):
        second = room(8, 2, [first])
        first = room(8, 2, [second])
    assert (first, second) == (8, 8)


def test_all_boxes_are_counted_together_and_the_longest_wait_counts() -> None:
    own = Wanted(waiting=1, in_hand=2, wait_s=5.0, jobs=1, work=10.0)
    found = shared(own, [BUSY, Wanted()], Replicas(count=3, ready=2), 8, decides=True)
    assert (found.waiting, found.in_hand, found.wait_s) == (4, 6, 5.0)
    assert (found.jobs, found.work) == (11, 110.0)
    assert (found.count, found.ready, found.room, found.decides) == (3, 2, 12, True)


def test_a_box_that_says_nothing_new_has_gone() -> None:
    heard = Heard()
    heard.note({"b": Said(wanted=BUSY)}, 0.0)
    heard.note({"b": Said(wanted=BUSY)}, GONE_S - 1)
    assert heard.wanted(GONE_S - 1) == [BUSY]
    assert heard.wanted(GONE_S) == [Wanted(jobs=10, work=100.0)]  # what it did stays done


def test_one_that_wants_the_same_for_long_is_there() -> None:
    heard = Heard()
    for turn in range(10):
        heard.note({"b": Said(wanted=BUSY, turn=turn)}, turn * 5.0)
    assert heard.wanted(50.0) == [BUSY]


def test_how_replicas_stand_is_the_first_box_s_word() -> None:
    heard = Heard()
    stands = Replicas(count=2, ready=1)
    heard.note({"b": Said(wanted=BUSY), "a": Said(wanted=BUSY, replicas=stands)}, 0.0)
    heard.note({"b": Said(wanted=BUSY)}, 1.0)
    assert heard.replicas == stands
