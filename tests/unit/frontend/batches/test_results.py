"""Results are there once or not at all, whatever happened while they were written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import orjson
import pytest

from frontend.batches.results import Results, answered, expired


@pytest.fixture
def results(tmp_path: Path) -> Results:
    made = Results(tmp_path / "output", tmp_path / "errors")
    assert made.open() == set()
    return made


def again(results: Results) -> set[str]:
    """What the next process finds."""
    results.close()
    return results.open()


def test_what_was_added_is_found_again_and_goes_on(results: Results, tmp_path: Path) -> None:
    results.add(answered("a", 200, "req_1", b'{"x":1}'), ok=True)
    results.add(answered("b", 400, "req_2", b'{"error":{}}'), ok=False)
    assert again(results) == {"a", "b"}
    assert (results.completed, results.failed) == (1, 1)
    results.add(expired("c"), ok=False)
    results.flush()
    lines = [orjson.loads(raw) for raw in (tmp_path / "errors").read_bytes().splitlines()]
    assert lines == [
        {
            "id": lines[0]["id"],
            "custom_id": "b",
            "response": {"status_code": 400, "request_id": "req_2", "body": {"error": {}}},
            "error": None,
        },
        {
            "id": lines[1]["id"],
            "custom_id": "c",
            "response": None,
            "error": {
                "code": "batch_expired",
                "message": "this request could not be answered before the batch's window ended",
            },
        },
    ]
    assert results.size_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "torn", [b'{"custom_id":"b"', b'{"custom_id":"b"}', b"\0\0\0\n", b"\xff\n"]
)
def test_a_torn_line_is_cut_off_with_all_after_it(
    results: Results, tmp_path: Path, torn: bytes
) -> None:
    results.add(expired("a"), ok=True)
    whole = (tmp_path / "output").read_bytes()
    with (tmp_path / "output").open("ab") as file:
        file.write(torn + (expired("c") if torn.endswith(b"\n") else b""))
    assert again(results) == {"a"}
    assert (tmp_path / "output").read_bytes() == whole
    results.add(expired("d"), ok=True)
    assert again(results) == {"a", "d"}


def test_a_disk_that_is_full_leaves_whole_lines(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.add(expired("a"), ok=True)
    write = os.write
    left = [10]

    def full(handle: int, data: bytes) -> int:
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[: left.pop()])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        results.add(expired("b"), ok=True)
    monkeypatch.undo()
    results.add(expired("c"), ok=True)
    assert again(results) == {"a", "c"}
    assert results.completed == 2
