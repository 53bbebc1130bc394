"""What an operator is told of a drain."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from worker.cluster import ask
from worker.cluster.ask import StillThere


def has(monkeypatch: pytest.MonkeyPatch, *still: bool) -> None:
    """Whether the box has replicas, each time that it is looked at; the last for ever."""
    seen = itertools.chain(still, itertools.repeat(still[-1]))
    now = itertools.count()
    monkeypatch.setattr(ask, "_has_replicas", lambda _: next(seen))
    clock = SimpleNamespace(monotonic=lambda: next(now), sleep=lambda _: None)
    monkeypatch.setattr(ask, "time", clock)


def test_it_ends_when_the_box_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, True, True, False)
    ask._await_empty("10.0.0.2")


def test_replicas_that_have_no_place_elsewhere_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, True)
    with pytest.raises(StillThere, match=r"10\.0\.0\.2 has replicas still"):
        ask._await_empty("10.0.0.2")
