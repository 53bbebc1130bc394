"""Workers that come and go with the queue, as real processes: no request is lost by it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from ipc.messages.spec import Scaling, Spec
from tests.process.box import CHAT, Box, MakeBox, spec, wait_until

pytestmark = pytest.mark.long

# Each takes a tenth of a second; so many at once wait for longer than they should.
ASKED = "/slow 50 one two"
CLIENTS = 40
# What is measured before another is loaded, on a machine that is busy with other tests.
SCALE_S = 120.0


def scaled(**changes: Any) -> Spec:
    scaling = Scaling(most=2, wait_s=1.0, idle_s=2.0)
    return spec(CHAT, slots=1, prefetch=0, queue_limit=1000, scaling=scaling, **changes)


@contextmanager
def load(box: Box) -> Iterator[list[int]]:
    """Clients that ask one after the other, as long as the block runs; gives their statuses."""
    statuses: list[int] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            statuses.append(box.chat(ASKED).status_code)

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask) for _ in range(CLIENTS)]
        try:
            yield statuses
        finally:
            enough.set()
    for client in clients:
        client.result()


def replicas(box: Box) -> list[dict[str, Any]]:
    (model,) = (one for one in box.health()["models"] if one["name"] == CHAT)
    return list(model["replicas"])


def states(box: Box) -> list[str]:
    return [one["state"] for one in replicas(box)]


def events(box: Box) -> list[str]:
    found = [line for line in box.lines() if "replicas." in line]
    return ["more" if "replicas.more" in line else "fewer" for line in found]


def test_another_worker_comes_while_requests_wait_and_goes_when_none_do(make_box: MakeBox) -> None:
    box = make_box(scaled()).wait_ready()
    with load(box) as statuses:
        wait_until(lambda: states(box) == ["ready", "ready"], SCALE_S)
        served = len(statuses)
        wait_until(lambda: len(statuses) >= served + 5 * CLIENTS, SCALE_S)
        assert all(one["jobs"] for one in wait_until(lambda: _at_work(box)))
        wanted = f'edge_serve_replicas_wanted{{model="{CHAT}"}} 2.0'
        wait_until(lambda: wanted in box.client.get("/metrics").text)
    wait_until(lambda: states(box) == ["ready"], SCALE_S)
    assert set(statuses) == {200}
    assert events(box) == ["more", "fewer"]
    assert box.chat("hello").status_code == 200


def _at_work(box: Box) -> list[dict[str, Any]] | None:
    found = replicas(box)
    return found if all(one["jobs"] for one in found) else None


def test_one_that_is_killed_while_it_loads_costs_nobody_a_request(make_box: MakeBox) -> None:
    box = make_box(scaled(options={"load_s": 2.0})).wait_ready()
    with load(box) as statuses:
        wait_until(lambda: states(box) == ["ready", "starting"], SCALE_S)
        os.kill(replicas(box)[1]["pid"], signal.SIGKILL)
        wait_until(lambda: states(box) == ["ready", "ready"], SCALE_S)
        assert replicas(box)[1]["generation"] == 2
    assert set(statuses) == {200}


def test_one_that_is_killed_at_work_costs_what_it_had_in_hand(make_box: MakeBox) -> None:
    box = make_box(scaled()).wait_ready()
    with load(box) as statuses:
        wait_until(lambda: states(box) == ["ready", "ready"], SCALE_S)
        wait_until(lambda: _at_work(box))
        os.kill(replicas(box)[1]["pid"], signal.SIGKILL)
        served = len(statuses)
        wait_until(lambda: len(statuses) >= served + CLIENTS, SCALE_S)
    assert set(statuses) <= {200, 503}
    assert statuses.count(503) <= 1
    wait_until(lambda: states(box) == ["ready"], SCALE_S)
