"""The newest bytes of an answer."""

from __future__ import annotations

import pytest

from frontend.resume.ring import Ring


def test_what_is_kept_is_read_from_any_byte_on() -> None:
    ring = Ring(100)
    for piece in (b"abc", b"", b"defg"):
        ring.add(piece)
    assert [ring.since(at) for at in range(8)] == [b"abcdefg"[at:] for at in range(8)]


@pytest.mark.parametrize("offset", [0, 3, 12])
def test_what_is_gone_or_has_not_been_is_not_read(offset: int) -> None:
    ring = Ring(7, block_bytes=4)
    for piece in (b"ab", b"cd", b"efgh", b"ijk"):
        ring.add(piece)
    assert (ring.begins_at, ring.ends_at, ring.size_bytes) == (4, 11, 7)
    assert ring.since(11) == b""
    assert ring.since(offset) is None


def test_no_reader_is_given_more_than_a_block_at_once() -> None:
    ring = Ring(100, block_bytes=4)
    for piece in (b"ab", b"cd", b"efgh", b"ijk"):
        ring.add(piece)
    assert [ring.since(at) for at in (0, 3, 4, 9)] == [b"abcd", b"d", b"efgh", b"jk"]


def test_the_newest_that_the_limit_names_are_always_there() -> None:
    ring = Ring(5, block_bytes=4)
    for at in range(40):
        ring.add(b"%d" % (at % 10))
        assert ring.ends_at - 5 >= ring.begins_at or ring.begins_at == 0
        assert ring.size_bytes < 5 + 4
    ring.add(b"x" * 50)
    assert ring.since(40) == b"x" * 50
