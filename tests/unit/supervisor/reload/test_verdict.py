"""When a new generation of a model counts as worse than the one before it."""

from __future__ import annotations

import pytest

from ipc.messages.control import Counters
from supervisor.reload.verdict import Record, worse

USUAL = Record(jobs=1000, failed=10, work_s=100.0)
WRITES = Record(jobs=1000, work_s=100.0, tokens=10_000)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (USUAL, Record(), None),
        (USUAL, Record(failed=2), None),  # two clients that left prove nothing
        (USUAL, Record(failed=3), "3 of 3 requests failed, before 1% did"),
        (USUAL, Record(jobs=97, failed=3, work_s=9.7), None),
        (USUAL, Record(jobs=90, failed=10, work_s=9.0), "10 of 100 requests failed"),
        (Record(), Record(failed=3), "3 of 3 requests failed, before 0% did"),
        (USUAL, Record(jobs=19, work_s=190.0), None),
        (USUAL, Record(jobs=20, work_s=4.0), None),
        (USUAL, Record(jobs=20, work_s=4.1), "a request takes 205.0 ms of work, before 100.0 ms"),
        (Record(jobs=19, work_s=1.0), Record(jobs=20, work_s=100.0), None),
        # Longer answers are no slower model.
        (WRITES, Record(jobs=20, work_s=40.0, tokens=4000), None),
        (WRITES, Record(jobs=20, work_s=5.0, tokens=200), "a token takes 25.0 ms of work"),
    ],
)
def test_what_is_worse(before: Record, after: Record, complaint: str | None) -> None:
    found = worse(before, after)
    assert (found is None) == (complaint is None)
    assert (complaint or "") in (found or "")


def test_replicas_are_added_up() -> None:
    one = Counters(jobs=1, failed=2, work_s=0.5, completion_tokens=7)
    assert Record.of([one, one]) == Record(jobs=2, failed=4, work_s=1.0, tokens=14)
