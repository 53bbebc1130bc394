"""A batch's way from status to status."""

from __future__ import annotations

import msgspec
import pytest

from frontend.batches.records import (
    MOST_ENDED,
    Batch,
    File,
    Index,
    Problem,
    Status,
)

NEW = Batch(
    id="batch_1",
    endpoint="/v1/embeddings",
    input_id="file-in",
    output_id="file-out",
    errors_id="file-err",
    created_at=1000,
)
FILE = File(id="file-in", name="a.jsonl", purpose="batch", size_bytes=3, created_at=900)


def test_a_batch_that_is_answered_tells_when_it_came_to_each_status() -> None:
    done = NEW.begun(2, 1001).all_done(1010).ended(1, 1, 1011)
    assert done.status == "completed"
    assert done.at == {"in_progress": 1001, "finalizing": 1010, "completed": 1011}
    assert (done.total, done.completed, done.failed) == (2, 1, 1)
    assert done.expires_at == 1000 + 86_400


def test_a_batch_whose_file_is_bad_has_failed() -> None:
    problem = Problem(code="empty_file", message="the file has no lines")
    failed = NEW.refused((problem,), 1001)
    assert (failed.status, failed.problems, failed.has_ended) == ("failed", (problem,), True)


def test_a_batch_that_is_called_off_ends_as_cancelled_wherever_it_was() -> None:
    for before in (NEW, NEW.begun(2, 1001)):
        off = before.called_off(1002)
        assert off.status == "cancelling"
        assert off.begun(2, 1003) is off.refused((), 1003) is off.all_done(1003) is off
        assert off.ended(1, 0, 1004).status == "cancelled"


@pytest.mark.parametrize("status", ["failed", "finalizing", "completed", "expired", "cancelled"])
def test_what_is_over_cannot_be_called_off(status: Status) -> None:
    over = NEW.moved(status, 1001)
    assert over.called_off(1002) is over


@pytest.mark.parametrize("before", [NEW, NEW.begun(2, 1001)])
def test_a_batch_that_ends_with_lines_left_has_expired(before: Batch) -> None:
    assert before.ended(0, 2, 90_000).status == "expired"


def test_an_index_is_never_changed_but_made_anew() -> None:
    first = Index().with_files(FILE).with_batch(NEW)
    assert first.reads("file-in") == NEW
    second = first.with_batch(NEW.begun(1, 1001).ended(1, 0, 1002)).without_file("file-in")
    assert second.reads("file-in") is None
    assert (second.files, [*first.files]) == ({}, ["file-in"])


def test_the_oldest_of_those_that_have_ended_are_forgotten() -> None:
    index = Index().with_batch(NEW)
    for number in range(MOST_ENDED + 2):
        ended = NEW.ended(0, 0, 1001)
        index = index.with_batch(_called(ended, f"batch_e{number}"))
    assert [*index.batches][:2] == ["batch_1", "batch_e2"]
    assert len(index.batches) == MOST_ENDED + 1


def _called(batch: Batch, name: str) -> Batch:
    return msgspec.structs.replace(batch, id=name)
