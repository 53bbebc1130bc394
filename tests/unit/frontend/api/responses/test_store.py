"""Responses are kept within bounds, each for who made it."""

from __future__ import annotations

from frontend.api.responses.store import ENTRY_BYTES, ResponseStore, Stored


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def stored(name: str, previous: str | None = None, size_bytes: int = 2) -> Stored:
    return Stored(name, b"x" * (size_bytes - 1), b"y", previous)


def names(found: list[Stored] | None) -> list[str] | None:
    return None if found is None else [one.id for one in found]


def kept(store: ResponseStore, *asked: str) -> list[str]:
    return [name for name in asked if store.find(None, name)]


def test_a_chain_is_in_the_order_in_which_it_was_said() -> None:
    store = ResponseStore()
    for one in (stored("a"), stored("b", "a"), stored("c", "b"), stored("d", "a")):
        store.add(None, one)
    assert names(store.chain(None, "c")) == ["a", "b", "c"]
    assert names(store.chain(None, "d")) == ["a", "d"]
    assert store.chain(None, "e") is None


def test_what_one_key_made_is_not_there_for_another() -> None:
    store = ResponseStore()
    store.add("ann", stored("a"))
    assert (store.find("bob", "a"), store.find(None, "a"), store.chain("bob", "a")) == (None,) * 3
    assert not store.remove("bob", "a")
    assert names(store.chain("ann", "a")) == ["a"]


def test_the_least_recently_used_go_first() -> None:
    store = ResponseStore(max_responses=3)
    for one in (stored("a"), stored("b", "a"), stored("c")):
        store.add(None, one)
    store.chain(None, "b")  # and with it a
    store.add(None, stored("d"))
    assert kept(store, "a", "b", "c", "d") == ["a", "b", "d"]


def test_bytes_are_bounded() -> None:
    store = ResponseStore(max_bytes=2 * ENTRY_BYTES + 200)
    store.add(None, stored("a", size_bytes=100))
    store.add(None, stored("b", size_bytes=100))
    assert store.size_bytes == 2 * ENTRY_BYTES + 200
    store.add(None, stored("c", size_bytes=10))
    assert kept(store, "a", "b", "c") == ["b", "c"]
    assert store.size_bytes == 2 * ENTRY_BYTES + 110
    store.add(None, stored("d", size_bytes=2 * ENTRY_BYTES))
    assert (len(store), store.size_bytes) == (0, 0)


def test_what_nobody_uses_is_forgotten() -> None:
    clock = Clock()
    store = ResponseStore(max_age_s=10, clock=clock)
    store.add(None, stored("a"))
    store.add(None, stored("b", "a"))
    store.add(None, stored("c"))
    clock.now += 6
    store.chain(None, "b")
    clock.now += 6
    assert kept(store, "a", "b", "c") == ["a", "b"]
    clock.now += 10
    assert kept(store, "a", "b") == []
    assert store.size_bytes == 0


def test_a_chain_that_has_lost_a_link_is_none() -> None:
    store = ResponseStore()
    store.add(None, stored("a"))
    store.add(None, stored("b", "a"))
    assert store.remove(None, "a")
    assert not store.remove(None, "a")
    assert store.chain(None, "b") is None
    assert names([found for found in [store.find(None, "b")] if found]) == ["b"]


def test_what_a_removed_key_made_is_forgotten_and_nothing_more_is_kept_for_it() -> None:
    store = ResponseStore()
    for key in ("ann", "bob", None):
        store.add(key, stored("a"))
    store.know({"ann"})
    store.add("bob", stored("b"))
    store.know({"ann", "bob"})
    assert names(store.chain("ann", "a")) == ["a"]
    assert (store.find("bob", "a"), store.find("bob", "b")) == (None, None)
    assert kept(store, "a") == ["a"]
    assert store.size_bytes == 2 * (2 + ENTRY_BYTES)
