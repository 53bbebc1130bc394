"""What a file of requests may hold, and what is said of one that is not in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from frontend.batches.request_lines import (
    MOST_PROBLEMS,
    PIECE_BYTES,
    Checked,
    LineError,
    Place,
    check_file,
    line_of,
    read_piece,
)

ENDPOINT = "/v1/chat/completions"
LONGEST = 1 << 20


def line(**changes: Any) -> bytes:
    good = {
        "custom_id": "a",
        "method": "POST",
        "url": ENDPOINT,
        "body": {"model": "m", "messages": []},
    }
    given = {name: value for name, value in {**good, **changes}.items() if value is not ...}
    return json.dumps(given).encode()


def checked(tmp_path: Path, *lines: bytes, longest: int = LONGEST, most: int = 100) -> Checked:
    path = tmp_path / "lines"
    path.write_bytes(b"\n".join(lines))
    return check_file(path, ENDPOINT, longest, most)


def test_a_file_in_order_tells_how_many_lines_it_has_and_which_models_they_ask(
    tmp_path: Path,
) -> None:
    found = checked(
        tmp_path,
        b"\xef\xbb\xbf" + line(),
        b"",
        line(custom_id="b", body={"model": "n", "stream": False}),
        line(custom_id="c", body={"model": "n", "stream": None, "more": [1]}),
        b"  ",
    )
    assert found == Checked(total=3, problems=[], models={"m": 1, "n": 3})


@pytest.mark.parametrize(
    ("bad", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b"[]", "invalid_json_line", None),
        (b'{"custom_id": "\xff"}', "invalid_type", "custom_id"),
        (b'{"custom_id": "\\ud800"}', "invalid_json_line", None),
        (line(custom_id=...), "missing_required_parameter", "custom_id"),
        (line(custom_id=7), "invalid_type", "custom_id"),
        (line(custom_id=""), "invalid_custom_id", "custom_id"),
        (line(custom_id="x" * 513), "invalid_custom_id", "custom_id"),
        (line(custom_id="before"), "duplicate_custom_id", "custom_id"),
        (line(method=...), "missing_required_parameter", "method"),
        (line(method="GET"), "invalid_method", "method"),
        (line(url="/v1/embeddings"), "invalid_url", "url"),
        (line(body=...), "missing_required_parameter", "body"),
        (line(body=None), "invalid_type", "body"),
        (line(body=[]), "invalid_type", "body"),
        (line(body={}), "missing_required_parameter", "body.model"),
        (line(body={"model": 7}), "invalid_type", "body.model"),
        (line(body={"model": "m", "stream": True}), "unsupported_parameter", "body.stream"),
        (line(body={"model": "m", "stream": 1}), "unsupported_parameter", "body.stream"),
    ],
)
def test_a_line_that_is_not_in_order_is_told_by_its_number(
    tmp_path: Path, bad: bytes, code: str, param: str | None
) -> None:
    found = checked(tmp_path, line(custom_id="before"), bad, line(custom_id="after"))
    (problem,) = found.problems
    assert (problem.line, problem.code, problem.param) == (2, code, param)


def test_no_value_of_a_line_is_told(tmp_path: Path) -> None:
    found = checked(tmp_path, line(custom_id="secret", url="secret", body={"model": ["secret"]}))
    assert "secret" not in str(found.problems)


def test_a_file_without_lines_is_none(tmp_path: Path) -> None:
    assert [problem.code for problem in checked(tmp_path, b"", b" ").problems] == ["empty_file"]


def test_a_file_of_too_many_lines_is_not_read_to_its_end(tmp_path: Path) -> None:
    found = checked(tmp_path, *(line(custom_id=str(number)) for number in range(3)), most=2)
    assert [problem.code for problem in found.problems] == ["too_many_tasks"]


def test_a_line_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    found = checked(tmp_path, line(), b"x" * 300, line(), longest=200)
    assert [problem.code for problem in found.problems] == ["line_too_long"]


def test_no_more_problems_are_told_than_anybody_reads(tmp_path: Path) -> None:
    assert len(checked(tmp_path, *[b"{"] * 1000, most=1000).problems) == MOST_PROBLEMS


def test_pieces_have_each_line_once_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    texts = [str(number) * 100 for number in range(4000)]
    path.write_text("\n".join([*texts[:2000], *[""] * (2 * PIECE_BYTES), *texts[2000:]]))
    place, found = Place(), []
    while True:
        piece, place = read_piece(path, place, LONGEST)
        if not piece:
            break
        assert sum(len(raw) for _, raw in piece) < PIECE_BYTES + 1000
        found += piece
    assert [raw.decode() for _, raw in found] == texts
    assert [number for number, _ in found][1998:2002] == [
        1999,
        2000,
        2001 + 2 * PIECE_BYTES,
        2002 + 2 * PIECE_BYTES,
    ]
    with pytest.raises(LineError):
        read_piece(path, Place(), 5)


def test_a_body_is_the_very_bytes_that_were_sent() -> None:
    raw = b'{"custom_id":"a","method":"POST","url":"u","body":{"n": 1.0, "x":"\\u00e9" }}'
    assert line_of(7, raw) == (7, "a", b'{"n": 1.0, "x":"\\u00e9" }')
