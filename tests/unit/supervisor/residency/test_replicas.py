"""How many workers a model has: histories of what is seen of it, and of what follows."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ipc.messages.control import Seen
from ipc.messages.spec import Scaling, Spec
from supervisor.residency.replicas import Replicas

SPEC = Spec(
    name="chat",
    task="chat",
    engine="echo",
    path="",
    slots=4,
    scaling=Scaling(most=3, wait_s=2.0, idle_s=60.0),
)
CALM = Seen(count=1, ready=1)
LATE = Seen(count=1, ready=1, waiting=9, in_hand=6, wait_s=3)
# Seconds, what is seen from then on, and how many workers that makes and why; "" for no change.
Row = tuple[float, Seen, str]


def play(*rows: Row, spec: Spec = SPEC, replicas: Replicas | None = None) -> Replicas:
    """Look four times a second. While requests wait, work is done at the rate that ``work`` of the
    row has, and a twentieth of that in requests."""
    replicas = replicas or Replicas()
    now, done = rows[0][0], 0.0
    for row, (at, seen, expected) in enumerate(rows):
        until = rows[row + 1][0] if row + 1 < len(rows) else at + 0.25
        assert now == at, "rows follow each other"
        told = ""
        while now < until:
            now_seen = replace(seen, jobs=int(done / 20), work=done)
            change = replicas.decide(spec, now_seen, now)
            if change is not None:
                told = f"{change.count}: {change.why}"
                assert now == at, f"at {now:g} s {told}"
                replicas.changed(change.why)
            done += seen.work / 4
            now += 0.25
        assert told == expected, f"at {at:g} s"
    return replicas


def busy(count: int, work: float = 0.0, **changes: Any) -> Seen:
    """So many workers with more than they can do, which is so much a second."""
    return replace(LATE, count=count, ready=count, in_hand=6 * count, work=work, **changes)


def calm(count: int, in_hand: int = 0) -> Seen:
    return replace(CALM, count=count, ready=count, in_hand=in_hand)


def test_requests_that_wait_too_long_bring_another_worker_once_it_is_known_what_one_does() -> None:
    play(
        (0.0, busy(1, work=100.0), ""),
        (10.0, busy(1, work=100.0), "2: a request would wait 3 s"),
        (10.25, busy(2, work=100.0), ""),
    )


def test_where_that_cannot_be_measured_they_wait_longer() -> None:
    play(
        (0.0, busy(1), ""),
        (20.0, busy(1), "2: a request would wait 3 s"),
    )


def test_a_moment_that_is_not_late_begins_it_anew() -> None:
    play(
        (0.0, busy(1), ""),
        (19.0, busy(1, wait_s=1), ""),
        (19.25, busy(1), ""),
        (39.25, busy(1), "2: a request would wait 3 s"),
    )


def test_no_other_is_loaded_while_one_is_on_its_way_nor_above_the_most() -> None:
    play((0.0, replace(busy(2), ready=1), ""), (900.0, CALM, ""))
    play((0.0, busy(3), ""), (900.0, CALM, ""))


def test_a_worker_that_fewer_could_do_without_for_long_goes_and_the_least_stay() -> None:
    play(
        (0.0, calm(3, in_hand=8), ""),
        (60.0, calm(3, in_hand=8), "2: 2 would have done for 60 s"),
        (60.25, calm(2, in_hand=5), ""),  # two have five in hand, one has four slots
        (900.0, calm(2, in_hand=4), ""),
        (930.0, calm(2, in_hand=5), ""),
        (930.25, calm(2, in_hand=4), ""),
        (990.25, calm(2), "1: 1 would have done for 60 s"),
        (990.5, calm(1), ""),
        (9000.0, calm(1), ""),
    )


def test_one_that_does_not_pay_goes_at_once_and_is_not_tried_again_for_an_hour() -> None:
    play(
        (0.0, busy(1, work=100.0), ""),
        (10.0, busy(1, work=100.0), "2: a request would wait 3 s"),
        (10.25, replace(busy(2, work=60.0), ready=1), ""),  # its load takes from the other
        (15.0, busy(2, work=104.0), ""),
        (25.0, busy(2, work=104.0), "1: 2 did 1.04 times the work of 1"),
        (25.25, busy(1, work=100.0), ""),
        (3625.0, busy(1, work=100.0), "2: a request would wait 3 s"),
    )


def test_one_that_pays_stays_and_is_followed_by_another() -> None:
    play(
        (0.0, busy(1, work=100.0), ""),
        (10.0, busy(1, work=100.0), "2: a request would wait 3 s"),
        (10.25, busy(2, work=180.0), ""),
        (20.25, busy(2, work=180.0), "3: a request would wait 3 s"),
        (20.5, busy(3, work=220.0), ""),
        (99.0, busy(3, work=220.0), ""),
    )


def test_what_was_done_at_another_time_is_not_compared() -> None:
    play(
        (0.0, busy(1, work=100.0), ""),
        (10.0, busy(1, work=100.0), "2: a request would wait 3 s"),
        (10.25, calm(2, in_hand=6), ""),
        (15.0, busy(2, work=50.0), ""),  # what is asked for is harder now
        (40.0, calm(2, in_hand=6), ""),
        spec=replace(SPEC, scaling=Scaling(most=2)),
    )


def test_one_that_does_not_come_is_given_up_and_tried_again_after_a_while() -> None:
    failed = replace(busy(2), ready=1, failed="killed for memory")
    play(
        (0.0, failed, "1: one did not come: killed for memory"),
        (0.25, busy(1), ""),
        (300.0, busy(1), "2: a request would wait 3 s"),
    )
