"""The newest bytes of an answer."""

from __future__ import annotations

import pytest

from frontend.resume.ring import Ring


def test_what_is_kept_is_read_from_any_byte_on() -> None:
    ring = Ring(100)
    for piece in (b"abc", b"", b"defg"):
        ring.add(piece)
    assert [ring.since(at) for at in range(8)] == [b"abcdefg"[at:] for at in range(8)]


@pytest.mark.parametrize("offset", [0, 2, 12])
def test_what_is_gone_or_has_not_been_is_not_read(offset: int) -> None:
    ring = Ring(8)
    for piece in (b"abc", b"defg", b"hijk"):
        ring.add(piece)
    assert (ring.begins_at, ring.ends_at, ring.size_bytes) == (3, 11, 8)
    assert ring.since(3) == b"defghijk"
    assert ring.since(11) == b""
    assert ring.since(offset) is None
