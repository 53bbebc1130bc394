"""The outputs that were asked for last, and no more of them."""

from __future__ import annotations

from worker.cache import Cache


def test_what_was_put_in_is_found() -> None:
    cache: Cache[str] = Cache(2)
    cache.put("a", "A")
    assert (cache.get("a"), cache.get("b")) == ("A", None)


def test_the_one_asked_for_longest_ago_goes_first() -> None:
    cache: Cache[str] = Cache(2)
    cache.put("a", "A")
    cache.put("b", "B")
    cache.get("a")
    cache.put("c", "C")
    assert [cache.get(key) for key in "abc"] == ["A", None, "C"]


def test_putting_in_again_renews() -> None:
    cache: Cache[str] = Cache(2)
    for key in "aba":
        cache.put(key, key.upper())
    cache.put("c", "C")
    assert [cache.get(key) for key in "abc"] == ["A", None, "C"]


def test_with_a_limit_of_nothing_nothing_is_kept() -> None:
    cache: Cache[str] = Cache(0)
    cache.put("a", "A")
    assert cache.get("a") is None
