"""One budget for what all requests hold: what it refuses, and that all of it comes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.dispatch.budget import FREE_BYTES, Budget, Claim
from ipc.messages.errors import OutOfMemory

LIMIT = 10 * FREE_BYTES


def claims(budget: Budget, *sizes: int) -> list[Claim]:
    made = []
    for size in sizes:
        claim = budget.open()
        claim.add(size)
        made.append(claim)
    return made


def test_what_exceeds_the_budget_is_refused_and_changes_nothing() -> None:
    budget = Budget(LIMIT)
    large, other = claims(budget, LIMIT - FREE_BYTES, FREE_BYTES)
    with pytest.raises(OutOfMemory) as refused:
        other.add(1)
    assert refused.value.retry_after_s is not None
    assert (budget.held_bytes, other.size_bytes) == (LIMIT - FREE_BYTES, FREE_BYTES)
    large.release()
    other.add(1)
    assert budget.held_bytes == FREE_BYTES + 1


def test_small_requests_pass_when_large_ones_have_filled_it() -> None:
    budget = Budget(LIMIT)
    claims(budget, LIMIT)
    assert len(claims(budget, *[FREE_BYTES] * 100)) == 100
    assert budget.held_bytes == LIMIT


def test_one_that_is_alone_may_have_more_than_there_is() -> None:
    budget = Budget(LIMIT)
    (alone,) = claims(budget, 3 * LIMIT)
    with pytest.raises(OutOfMemory):
        claims(budget, FREE_BYTES + 1)
    alone.release()
    assert budget.held_bytes == 0


def test_what_is_expected_is_refused_early_and_not_held() -> None:
    budget = Budget(LIMIT)
    claims(budget, LIMIT)
    late = budget.open()
    late.expect(FREE_BYTES)
    with pytest.raises(OutOfMemory):
        late.expect(FREE_BYTES + 1)
    assert (late.size_bytes, budget.held_bytes) == (0, LIMIT)


def test_a_job_that_outlives_its_request_keeps_the_claim() -> None:
    budget = Budget(LIMIT)
    (claim,) = claims(budget, LIMIT)
    job = claim.hold()
    claim.release()
    assert budget.held_bytes == LIMIT
    job.release()
    assert budget.held_bytes == 0
    job.add(LIMIT)  # the last words of a worker for a request that is gone
    assert budget.held_bytes == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "add", "subtract", "hold", "release"]),
        st.integers(0, 7),
        st.integers(0, 3 * FREE_BYTES),
    ),
    max_size=60,
)


def play(budget: Budget, holders: list[Claim], step: str, at: int, size: int) -> None:
    """One thing that may happen to a claim; ``holders`` has it once for each who holds it."""
    if step == "open":
        holders.append(budget.open())
    if not holders:
        return
    claim = holders[at % len(holders)]
    if step == "add":
        try:
            claim.add(size)
        except OutOfMemory:
            assert budget.held_bytes + claim.size_bytes + size > LIMIT
    elif step == "subtract":
        claim.subtract(min(size, claim.size_bytes))
    elif step == "hold":
        holders.append(claim.hold())
    elif step == "release":
        holders.remove(claim)
        claim.release()


@given(STEPS)
def test_it_holds_what_is_claimed_and_never_more_than_it_has(steps: list[Any]) -> None:
    """Whatever happens in whatever order; at the end, when all have let go, it holds nothing."""
    budget, holders = Budget(LIMIT), list[Claim]()
    alone = True  # all the time that more than the limit was held
    for step, at, size in steps:
        play(budget, holders, step, at, size)
        large = [claim.size_bytes for claim in set(holders) if claim.size_bytes > FREE_BYTES]
        assert budget.held_bytes == sum(large)
        alone = budget.held_bytes <= LIMIT or (alone and len(large) == 1)
        assert alone
    for claim in holders:
        claim.release()
    assert budget.held_bytes == 0
