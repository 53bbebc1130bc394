"""Who dies amid an update: the one that serves goes on, and no request is lost that need not be."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psutil
import pytest

from tests.process.box import CHAT, MakeBox, boxes, lives, spec, wait_until
from tests.process.faults.test_model_set import (
    SLOW,
    ChangingBox,
    load,
    start,
    told,
    workers,
)

# Long enough to die in, and shorter than what anybody takes for a worker that hangs.
LOADS = {"load_s": 3.0}
# What loads beside another model yields the processors to all that want them, say to other tests.
LOAD_S = 120.0


@pytest.fixture
def make_changing() -> Iterator[MakeBox]:
    with boxes(ChangingBox) as make:
        yield make


def beside(box: ChangingBox, old: int) -> dict[str, Any]:
    """The worker that is loaded beside the old one."""
    return wait_until(lambda: _other(box, old), LOAD_S)  # type: ignore[no-any-return]


def _other(box: ChangingBox, old: int) -> dict[str, Any] | None:
    replicas = box.models().get(CHAT, {}).get("replicas", [])
    found = [one for one in replicas if one["pid"] not in (None, old)]
    return found[0] if found else None


def test_a_new_worker_that_dies_while_it_loads_costs_nobody_a_request(
    make_changing: MakeBox,
) -> None:
    box = start(make_changing, spec(CHAT), update_watch_s=0.0)
    old = box.replica(CHAT)["pid"]
    with load(box, CHAT) as statuses:
        box.add(spec(CHAT, options=LOADS))
        first = beside(box, old)
        os.kill(first["pid"], signal.SIGKILL)
        wait_until(lambda: told(box, "update.done") == 1, LOAD_S)
        wait_until(lambda: old not in workers(box))
    assert box.replica(CHAT)["generation"] == 2  # it was loaded again
    assert set(statuses) == {200}


def test_one_that_dies_once_it_serves_costs_what_it_had_in_hand(make_changing: MakeBox) -> None:
    box = start(make_changing, spec(CHAT, slots=1, prefetch=0))
    old = box.replica(CHAT)["pid"]
    box.add(spec(CHAT, slots=1, prefetch=0, queue_limit=9, options={"word_ms": 1}))
    wait_until(lambda: told(box, "update.switched") == 1, LOAD_S)
    new = beside(box, old)["pid"]
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(box.ask_model, CHAT, f"{SLOW} {job}") for job in range(6)]
        wait_until(lambda: box.queue(CHAT)["depth"] == 5)
        os.kill(new, signal.SIGKILL)
        statuses = sorted(answer.result().status_code for answer in answers)
    assert statuses == [200] * 5 + [503]
    wait_until(lambda: workers(box) == {old})
    assert told(box, "update.rolled_back") == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_frontend_that_dies_takes_only_the_requests_that_it_held(
    make_changing: MakeBox, when: str
) -> None:
    box = start(make_changing, spec(CHAT), update_watch_s=5.0)
    old = box.replica(CHAT)["pid"]
    frontend = psutil.Process(box.health()["frontend"]["pid"])
    box.add(spec(CHAT, options=LOADS))
    if when == "after":
        wait_until(lambda: told(box, "update.switched") == 1, LOAD_S)
    new = beside(box, old)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(box.ask_model, CHAT, "/slow 60000 word word")
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 1)
        frontend.kill()
        assert isinstance(asked.exception(), httpx2.TransportError)
        wait_until(lambda: not lives(frontend))  # and all of its connections with it
    with load(box, CHAT) as statuses:
        wait_until(lambda: told(box, "update.done") == 1, LOAD_S)
        wait_until(lambda: old not in workers(box))
    assert box.replica(CHAT)["pid"] == new["pid"]
    assert set(statuses) == {200}


def test_a_supervisor_that_dies_leaves_nobody_and_starts_with_what_the_files_say(
    make_changing: MakeBox,
) -> None:
    box = start(make_changing, spec(CHAT))
    old = box.replica(CHAT)["pid"]
    box.add(spec(CHAT, options=LOADS))
    beside(box, old)
    family = box.family()
    assert len(family) == 3  # the frontend, and two generations
    box.process.kill()
    box.process.wait()
    assert box.process.stdin is not None
    box.process.stdin.close()
    wait_until(lambda: not any(lives(one) for one in family))
    box.start()
    box.wait_for(CHAT)
    assert len(workers(box)) == 1
