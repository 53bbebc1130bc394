"""What a key may have, as histories: when, what is asked for, what comes of it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from frontend.quotas.bucket import Bucket
from frontend.quotas.quota import DAY_S, KeyQuota, Left
from ipc.messages.errors import InsufficientQuota, ServeError
from ipc.messages.keys import KeyLimits

NOON = 20_000 * DAY_S + DAY_S / 2

Happens = Callable[[KeyQuota, float], None]
# An outcome: taken, or refused until so many seconds have passed, by the code of the error.
Outcome = None | tuple[str, float]


def comes(quota: KeyQuota, now: float) -> None:
    quota.begin(now)


def ends(quota: KeyQuota, _now: float) -> None:
    quota.end()


def reserves(tokens: int, *, in_background: bool = False) -> Happens:
    return lambda quota, now: quota.reserve(tokens, now, NOON + now, in_background=in_background)


def settles(reserved: int, spent: int) -> Happens:
    return lambda quota, now: quota.settle(reserved, spent, now, NOON + now, in_background=False)


def changes(limits: KeyLimits) -> Happens:
    return lambda quota, now: quota.set_limits(limits, now)


def play(limits: KeyLimits, *rows: tuple[float, Happens, Outcome]) -> KeyQuota:
    quota = KeyQuota(limits, 0.0)
    for at, happens, expected in rows:
        assert _outcome(quota, at, happens) == expected, f"at {at:g} s"
    return quota


def _outcome(quota: KeyQuota, at: float, happens: Happens) -> Outcome:
    try:
        happens(quota, at)
    except ServeError as error:
        return error.code, round(error.retry_after_s or 0.0, 3)
    return None


def test_requests_come_at_once_and_then_evenly() -> None:
    play(
        KeyLimits(requests_per_min=3),
        (0.0, comes, None),
        (0.0, comes, None),
        (0.0, comes, None),
        (0.0, comes, ("rate_limit_exceeded", 20.0)),
        (19.0, comes, ("rate_limit_exceeded", 1.0)),  # one that was refused has not counted
        (20.0, comes, None),
        (20.0, comes, ("rate_limit_exceeded", 20.0)),
        (200.0, comes, None),
        (200.0, comes, None),
        (200.0, comes, None),
        (200.0, comes, ("rate_limit_exceeded", 20.0)),
    )


def test_so_many_are_answered_at_once() -> None:
    play(
        KeyLimits(concurrent=2),
        (0.0, comes, None),
        (0.0, comes, None),
        (1.0, comes, ("rate_limit_exceeded", 1.0)),
        (2.0, ends, None),
        (2.0, comes, None),
        (2.0, comes, ("rate_limit_exceeded", 1.0)),
    )


def test_tokens_are_reserved_and_counted_as_they_were() -> None:
    play(
        KeyLimits(tokens_per_min=600),
        (0.0, reserves(500), None),
        (0.0, reserves(200), ("rate_limit_exceeded", 10.0)),
        (0.0, settles(500, 100), None),
        (0.0, reserves(500), None),
        (0.0, reserves(1), ("rate_limit_exceeded", 0.1)),
    )


def test_what_was_more_than_thought_is_waited_for() -> None:
    play(
        KeyLimits(tokens_per_min=600),
        (0.0, reserves(0), None),  # nobody knows how long a recording is
        (0.0, settles(0, 900), None),
        (0.0, reserves(1), ("rate_limit_exceeded", 30.1)),
        (31.0, reserves(1), None),
    )


def test_a_request_longer_than_a_minute_needs_the_whole_minute() -> None:
    play(
        KeyLimits(tokens_per_min=600),
        (0.0, reserves(60), None),
        (0.0, reserves(5000), ("rate_limit_exceeded", 6.0)),
        (6.0, reserves(5000), None),
        (6.0, settles(5000, 100), None),
        (6.0, reserves(500), None),
    )


def test_a_day_is_used_up_until_the_next_one() -> None:
    half = DAY_S / 2
    play(
        KeyLimits(tokens_per_day=1000),
        (0.0, reserves(900), None),
        (0.0, reserves(900), None),  # one answer may be longer than what is left
        (0.0, reserves(1), ("insufficient_quota", half)),
        (1.0, settles(900, 10), None),
        (1.0, reserves(80, in_background=True), None),
        (1.0, settles(900, 980), None),
        (2.0, reserves(1, in_background=True), ("insufficient_quota", half - 2)),
        (half, reserves(1), None),
    )


def test_lines_of_batches_are_held_to_the_day_alone() -> None:
    play(
        KeyLimits(tokens_per_min=10, tokens_per_day=100),
        (0.0, reserves(99, in_background=True), None),
        (0.0, reserves(10), None),
        (0.0, reserves(1, in_background=True), ("insufficient_quota", DAY_S / 2)),
    )


def test_what_was_had_before_this_process_counts() -> None:
    quota = KeyQuota(KeyLimits(tokens_per_day=1000), 0.0)
    quota.has_had(999, NOON)
    assert quota.tokens_left(0.0, NOON) == Left(1000, 1, DAY_S / 2)
    quota.reserve(5, 0.0, NOON, in_background=False)
    with pytest.raises(InsufficientQuota):
        quota.reserve(1, 0.0, NOON, in_background=False)
    assert quota.tokens_left(0.0, NOON + DAY_S) == Left(1000, 1000, DAY_S / 2)


def test_other_limits_hold_at_once_and_what_was_had_counts() -> None:
    play(
        KeyLimits(requests_per_min=60),
        *[(0.0, comes, None)] * 3,
        (0.0, changes(KeyLimits(requests_per_min=3)), None),
        (0.0, comes, ("rate_limit_exceeded", 20.0)),
        (0.0, changes(KeyLimits()), None),
        *[(0.0, comes, None)] * 9,
    )


def test_what_is_left_is_told() -> None:
    quota = play(KeyLimits(requests_per_min=60, tokens_per_min=600), (0.0, comes, None))
    assert quota.requests_left(0.0) == Left(60, 59, 1.0)
    assert quota.tokens_left(0.0, NOON) == Left(600, 600, 0.0)
    quota.reserve(100, 0.0, NOON, in_background=False)
    assert quota.tokens_left(0.0, NOON) == Left(600, 500, 10.0)
    free = KeyQuota(KeyLimits(), 0.0)
    assert (free.requests_left(0.0), free.tokens_left(0.0, NOON)) == (None, None)


@pytest.mark.parametrize("seed", range(20))
def test_no_history_gives_more_than_a_bucket_has(seed: int) -> None:
    """In any span of time no more is taken than the bucket holds and what flows in meanwhile."""
    chance = random.Random(seed)
    limit = chance.choice((1, 7, 60, 1000))
    bucket, now, taken = Bucket.full(limit, 0.0), 0.0, 0.0
    for _ in range(500):
        now += chance.choice((0.0, 0.01, 1.0, 20.0))
        amount = chance.randint(1, max(1, limit // 3))
        if bucket.wait_s(amount, now) > 0:
            continue
        bucket.take(amount, now)
        taken += amount
        assert taken <= limit + limit / 60 * now + 1e-6
        assert bucket.left(now) >= -1e-6
