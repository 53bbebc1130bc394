"""Work that is done beside the steps of an engine."""

from __future__ import annotations

import threading
import time

import pytest

from ipc.messages.errors import InternalError, InvalidRequest, ServeError
from worker.apart import Apart

DEADLINE_S = 20.0


def collected(apart: Apart[str]) -> list[tuple[str, str | ServeError]]:
    """All that was begun, as it comes."""
    give_up_at = time.monotonic() + DEADLINE_S
    found = []
    while apart:
        assert time.monotonic() < give_up_at
        found += apart.ready(wait_a_little=True)
    return found


def refuse() -> str:
    raise InvalidRequest("it is wrong")


def fail() -> str:
    raise RuntimeError("it broke")


@pytest.mark.parametrize("at_once", [False, True])
def test_what_is_done_comes_in_order_and_what_is_wrong_is_of_its_asker(
    at_once: bool, caplog: pytest.LogCaptureFixture
) -> None:
    apart: Apart[str] = Apart("test", at_once=at_once)
    apart.begin("a", lambda: "first")
    apart.begin("b", refuse)
    apart.begin("c", fail)
    apart.begin("d", lambda: "last")
    a, b, c, d = collected(apart)
    assert (a, d) == (("a", "first"), ("d", "last"))
    assert isinstance(b[1], InvalidRequest)
    assert isinstance(c[1], InternalError)
    assert "work_apart_failed" in caplog.messages
    apart.close()


def test_without_a_thread_work_is_done_as_it_is_begun() -> None:
    threads: list[str] = []
    apart: Apart[None] = Apart("test", at_once=True)
    apart.begin("a", lambda: threads.append(threading.current_thread().name))
    assert threads == [threading.current_thread().name]
    assert apart.ready(wait_a_little=False) == [("a", None)]


def test_what_nobody_waits_for_is_not_done() -> None:
    apart: Apart[str] = Apart("test")
    goes_on = threading.Event()
    apart.begin("a", lambda: str(goes_on.wait(DEADLINE_S)))
    apart.begin("b", fail)
    apart.begin("c", lambda: "c")
    apart.drop("b")
    apart.drop("unknown")
    assert apart.ready(wait_a_little=False) == []
    goes_on.set()
    assert collected(apart) == [("a", "True"), ("c", "c")]
    apart.close()
