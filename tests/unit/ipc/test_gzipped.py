"""Gzip that somebody else has made."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from ipc.runtime.gzipped import NotUnpacked, unpacked

MIB = 1 << 20


def test_what_is_packed_is_unpacked_and_what_is_not_stays() -> None:
    for text in (b"", b"hello", b"x" * MIB):
        assert unpacked(gzip.compress(text), MIB) == unpacked(text, MIB) == text
    assert unpacked(gzip.compress(b"a") + gzip.compress(b"b"), MIB) == b"ab"


def test_no_more_is_unpacked_than_may_be() -> None:
    bomb = gzip.compress(bytes(128 * MIB), 1)
    tracemalloc.start()
    with pytest.raises(NotUnpacked, match="it holds more than 4 MiB"):
        unpacked(bomb, 4 * MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * MIB
    with pytest.raises(NotUnpacked, match="it holds more than 4 MiB"):
        unpacked(b"x" * (4 * MIB + 1), 4 * MIB)


def test_what_is_broken_is_said_to_be() -> None:
    packed = gzip.compress(b"hello" * 100)
    for data in (b"\x1f\x8bbroken", packed[:-9], packed[:12] + b"\xff" * 9 + packed[21:]):
        with pytest.raises(NotUnpacked, match="its gzip is broken"):
            unpacked(data, MIB)
