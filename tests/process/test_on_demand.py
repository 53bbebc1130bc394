"""Models that are loaded when somebody asks, as real processes: nothing is lost, nothing stays."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests.process.box import CHAT, EMBED, Box, MakeBox, lives, spec, wait_until

pytestmark = pytest.mark.long

SECOND = "echo/chat-second"
SLOW = "/slow 200 " + "word " * 10


def rare(name: str, idle_s: float, **changes: Any) -> Any:
    return spec(name, load="on_demand", idle_unload_s=idle_s, **changes)


def workers(box: Box) -> list[psutil.Process]:
    return [one for one in box.family() if lives(one) and "worker" in " ".join(one.cmdline())]


def state(box: Box, model: str) -> str:
    found = next(one for one in box.health()["models"] if one["name"] == model)
    return str(found["state"])


def generation(box: Box, model: str) -> int:
    return int(box.replica(model)["generation"])


@pytest.fixture
def box(make_box: MakeBox) -> Box:
    box = make_box(rare(CHAT, idle_s=1.0), rare(EMBED, idle_s=0.0))
    wait_until(lambda: box.ask("/readyz") == 200)
    return box


def test_nothing_is_loaded_before_somebody_asks_and_probes_are_nobody(box: Box) -> None:
    for path in ("/health", "/v1/models", "/metrics", "/readyz"):
        wait_until(lambda: box.ask(path) == 200)  # noqa: B023
    assert workers(box) == []
    assert (state(box, CHAT), state(box, EMBED)) == ("unloaded", "unloaded")


def test_a_model_is_loaded_once_for_all_who_ask_and_leaves_when_nobody_does(box: Box) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: box.chat("hello"), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert generation(box, CHAT) == 1
    wait_until(lambda: workers(box) == [])
    wait_until(lambda: box.ask("/readyz") == 200)
    assert state(box, CHAT) == "unloaded"
    assert box.chat("hello again").status_code == 200
    assert generation(box, CHAT) == 2


def test_a_long_answer_is_not_idleness(box: Box) -> None:
    assert box.chat(SLOW).status_code == 200  # takes two seconds, and may idle for one
    assert generation(box, CHAT) == 1


def test_a_model_that_may_idle_for_ever_stays(box: Box) -> None:
    assert box.embed("one").status_code == 200
    assert box.chat("hello").status_code == 200
    wait_until(lambda: len(workers(box)) == 1)  # the other has left
    assert box.embed("two").status_code == 200
    assert generation(box, EMBED) == 1


def test_a_model_makes_room_for_another(make_box: MakeBox) -> None:
    specs = [rare(name, idle_s=0.0, memory_mb=60) for name in (CHAT, SECOND)]
    box = make_box(*specs, memory_budget_mb=80)
    wait_until(lambda: box.ask("/readyz") == 200)
    assert box.chat("hello").status_code == 200
    assert box.chat("hello", model=SECOND).status_code == 200  # after half a minute
    assert (state(box, CHAT), state(box, SECOND)) == ("unloaded", "ready")
    assert len(workers(box)) == 1


def test_a_model_that_never_fits_is_refused_with_why(make_box: MakeBox) -> None:
    box = make_box(rare(CHAT, idle_s=0.0, memory_mb=500), memory_budget_mb=80)
    wait_until(lambda: box.ask("/readyz") == 200)
    refused = box.chat("hello")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (503, "insufficient_memory")
    free = "80 MB are free within MEMORY_BUDGET_MB=80"
    assert error["message"] == f"model {CHAT!r} needs 600 MB and {free}"
    assert refused.headers["retry-after"] == "30"


def test_kills_and_unloads_at_any_moment_leave_nobody_without_an_answer(box: Box) -> None:
    chance = random.Random(7)

    def ask(number: int) -> int:
        if number % 20 == 5:
            for worker in workers(box):
                worker.kill()
        thinking = threading.Event()  # a client, for around the second that the model may idle
        thinking.wait(chance.choice([0.0, 0.0, 0.05, 1.3]))
        return box.chat(f"hello {number}").status_code

    with ThreadPoolExecutor(3) as clients:
        statuses = list(clients.map(ask, range(60)))
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 40  # the others were with a worker that was killed
    wait_until(lambda: box.chat("after all").status_code == 200)
