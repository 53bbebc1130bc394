"""The number of values in a JSON text, counted without making them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.http.values import ValueCounter, loose_count


def counted(raw: bytes, piece_bytes: int) -> int:
    counter = ValueCounter()
    for at in range(0, len(raw), piece_bytes):
        counter.feed(raw[at : at + piece_bytes])
    return counter.count


def values(data: Any) -> int:
    """How many there are, keys among them."""
    if isinstance(data, dict):
        return 1 + sum(1 + values(each) for each in data.values())
    if isinstance(data, list):
        return 1 + sum(values(each) for each in data)
    return 1


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'"a, b: [c] {d}"', 0),
        (b'["\\",[", 1]', 2),
        (b'["\\\\", 1]', 2),
        (b'["\\\\\\",,,", 1]', 2),
        (b'["\\u0022,", 1]', 2),
        (b'{"a,b": "\\\\\\\\", "c": [[],{}]}', 8),
        (b"[],[],[],", 6),
    ],
)
def test_what_stands_in_strings_is_not_counted(raw: bytes, expected: int, piece_bytes: int) -> None:
    assert counted(raw, piece_bytes) == expected


TEXTS = st.text(alphabet='",:[{\\\n\té中🎉a')
DATA = st.recursive(
    st.none() | st.integers(-5, 5) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@given(DATA, st.integers(1, 40))
def test_no_text_has_more_values_than_are_counted(data: Any, piece_bytes: int) -> None:
    raw = orjson.dumps(data)
    count = counted(raw, piece_bytes)
    assert values(data) <= 1 + count <= 2 * values(data)
    assert loose_count(raw) >= count
