"""Models that join, leave and change under load: nothing that was taken in is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx2
import msgspec
import psutil
import pytest

from ipc.messages.spec import Spec
from tests.process.box import CHAT, Box, MakeBox, boxes, lives, spec, wait_until
from tests.process.faults.changing_daemon import Change

OTHER = "echo/chat-other"
CUT_OFF = {"load_fails": "always"}
SLOW = "/slow 100 " + "word " * 10
CLIENTS = 4
# What loads beside another model yields the processors to all that want them, say to other tests.
LOAD_S = 120.0


class ChangingBox(Box):
    """A box whose set of models a test can change."""

    program = "tests.process.faults.changing_daemon"
    stdin = subprocess.PIPE

    def add(self, model: Spec) -> None:
        self._change(Change(add=model))

    def remove(self, name: str) -> None:
        self._change(Change(remove=name))

    def roll_back(self, name: str) -> None:
        self._change(Change(roll_back=name))

    def stop(self) -> None:
        super().stop()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def _change(self, change: Change) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(change) + b"\n")
        self.process.stdin.flush()

    def ask_model(self, model: str, text: str = "hello") -> httpx2.Response:
        return self.chat(text, model=model)

    def models(self) -> dict[str, dict[str, Any]]:
        """The models of /health by name; empty while nobody answers."""
        try:
            return {model["name"]: model for model in self.health().get("models", [])}
        except httpx2.TransportError:
            return {}

    def wait_for(self, model: str) -> None:
        """Until the model answers."""
        wait_until(lambda: self.models().get(model, {}).get("state") == "ready")
        wait_until(lambda: self.status(model) == 200)

    def status(self, model: str) -> int | None:
        try:
            return self.ask_model(model).status_code
        except httpx2.TransportError:
            return None

    def has_left(self, model: str) -> bool:
        """Whether clients know the model no more. One that asked it too early would have to wait
        for what it has in hand."""
        return model not in self.client.get("/v1/models").text and self.status(model) == 404

    def tells_of(self, model: str) -> dict[str, bool]:
        """Which of the pages on what this server has name the model."""
        pages = ("/v1/models", "/health", "/metrics", "/openapi.json")
        return {page: model in self.client.get(page).text for page in pages}


@pytest.fixture
def make_changing() -> Iterator[MakeBox]:
    with boxes(ChangingBox) as make:
        yield make


def start(make: MakeBox, *specs: Spec, **plan: Any) -> ChangingBox:
    return cast(ChangingBox, make(*specs, **plan).wait_ready())


@contextmanager
def load(box: ChangingBox, model: str) -> Iterator[list[int]]:
    """Clients that ask one after the other, for as long as the block runs; gives their statuses."""
    statuses: list[int] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            statuses.append(box.ask_model(model, "/slow 5 one two three").status_code)

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask) for _ in range(CLIENTS)]
        try:
            wait_until(lambda: len(statuses) >= CLIENTS)
            yield statuses
        finally:
            enough.set()
    for client in clients:
        client.result()


@contextmanager
def queue_of(box: ChangingBox, model: str, jobs: int) -> Iterator[list[Future[httpx2.Response]]]:
    """So many slow requests of the model, all but the one in hand waiting."""
    with ThreadPoolExecutor(jobs) as pool:
        answers = [pool.submit(box.ask_model, model, f"{SLOW} {job}") for job in range(jobs)]
        wait_until(lambda: box.queue(model)["depth"] == jobs - 1)
        yield answers


def workers(box: ChangingBox) -> set[int]:
    return {one["pid"] for model in box.health()["models"] for one in model["replicas"]}


def test_a_model_joins_and_leaves_while_another_is_busy(make_changing: MakeBox) -> None:
    box = start(make_changing, spec(CHAT))
    before = workers(box)
    assert not any(box.tells_of(OTHER).values())
    with load(box, CHAT) as statuses:
        box.add(spec(OTHER, slots=1, prefetch=0))
        box.wait_for(OTHER)
        assert all(box.tells_of(OTHER).values())
        pid = box.replica(OTHER)["pid"]
        with queue_of(box, OTHER, jobs=6) as answers:
            box.remove(OTHER)
            wait_until(lambda: box.has_left(OTHER))
            assert box.ask_model(OTHER).json()["error"]["code"] == "model_not_found"
            wait_until(lambda: box.ask("/readyz") == 200)
            assert [answer.result().status_code for answer in answers] == [200] * 6
        wait_until(lambda: not any(box.tells_of(OTHER).values()))
        assert not psutil.pid_exists(pid) or not lives(psutil.Process(pid))
        assert workers(box) == before
        served = len(statuses)
        wait_until(lambda: len(statuses) >= served + CLIENTS)
    assert set(statuses) == {200}
    assert [file.name for file in box.run_dir.iterdir() if "chat-2" in file.name] == []


def test_the_set_outlives_the_frontend(make_changing: MakeBox) -> None:
    box = start(make_changing, spec(CHAT))
    box.add(spec(OTHER))
    box.wait_for(OTHER)
    box.remove(CHAT)
    wait_until(lambda: list(box.models()) == [OTHER])
    os.kill(box.health()["frontend"]["pid"], signal.SIGKILL)
    box.wait_for(OTHER)
    assert box.status(CHAT) == 404
    assert list(box.models()) == [OTHER]
    assert box.replica(OTHER)["generation"] == 1


def test_what_is_queued_for_a_leaving_model_outlives_its_worker(make_changing: MakeBox) -> None:
    box = start(make_changing, spec(CHAT), spec(OTHER, slots=1, prefetch=0))
    with queue_of(box, OTHER, jobs=5) as answers:
        box.remove(OTHER)
        wait_until(lambda: box.has_left(OTHER))
        box.kill(OTHER)
        statuses = sorted(answer.result().status_code for answer in answers)
    # What was in hand has died with the worker, as ever.
    assert statuses[:-1] == [200] * 4
    wait_until(lambda: list(box.models()) == [CHAT])


def test_a_leaving_model_does_not_outlive_the_frontend_that_its_clients_asked(
    make_changing: MakeBox,
) -> None:
    box = start(make_changing, spec(CHAT), spec(OTHER, slots=1, prefetch=0))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(box.ask_model, OTHER, "/slow 60000 word word")
        wait_until(lambda: box.replica(OTHER)["in_flight"] == 1)
        box.remove(OTHER)
        wait_until(lambda: box.has_left(OTHER))
        os.kill(box.health()["frontend"]["pid"], signal.SIGKILL)
        assert isinstance(asked.exception(), httpx2.TransportError)
    wait_until(lambda: list(box.models()) == [CHAT])
    box.wait_for(CHAT)


def test_a_model_changes_under_load(make_changing: MakeBox) -> None:
    box = start(make_changing, spec(CHAT, slots=2), update_watch_s=0.5)
    with load(box, CHAT) as statuses:
        pid = box.replica(CHAT)["pid"]
        box.add(spec(CHAT, slots=4))
        wait_until(lambda: len(box.models()[CHAT]["replicas"]) == 2)
        wait_until(lambda: len(box.models()[CHAT]["replicas"]) == 1, LOAD_S)
        assert box.replica(CHAT)["pid"] != pid
        served = len(statuses)
        wait_until(lambda: len(statuses) >= served + CLIENTS)
    assert set(statuses) == {200}


def told(box: ChangingBox, event: str) -> int:
    """How often the log says so."""
    return sum(event in line for line in box.lines())


def has_gone(box: ChangingBox, pid: int) -> bool:
    return pid not in workers(box)


def test_several_updates_under_load_lose_nothing(make_changing: MakeBox) -> None:
    box = start(make_changing, spec(CHAT, slots=4), update_watch_s=0.0)
    with load(box, CHAT) as statuses:
        for slots in (5, 4, 5):
            pid = box.replica(CHAT)["pid"]
            box.add(spec(CHAT, slots=slots))
            wait_until(partial(has_gone, box, pid), LOAD_S)
    assert set(statuses) == {200}


def test_a_broken_model_never_gets_a_live_request(make_changing: MakeBox, tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    golden.write_text('{"input": "hello", "answer": "good morning"}\n')
    box = start(make_changing, spec(CHAT))
    with load(box, CHAT) as statuses:
        pid = box.replica(CHAT)["pid"]
        box.add(spec(CHAT, slots=3, golden=str(golden)))
        wait_until(lambda: told(box, "update.failed") == 1, LOAD_S)
        box.add(spec(CHAT, options=CUT_OFF))
        wait_until(lambda: told(box, "update.failed") == 2, LOAD_S)
        wait_until(lambda: workers(box) == {pid})
    assert set(statuses) == {200}
    assert any("golden: answer 1 of 1 is" in line for line in box.lines())


def test_a_rollback_gives_the_queue_back_at_once(make_changing: MakeBox) -> None:
    box = start(make_changing, spec(CHAT))
    pid = box.replica(CHAT)["pid"]
    with load(box, CHAT) as statuses:
        box.add(spec(CHAT, slots=3))
        wait_until(lambda: told(box, "update.switched") == 1, LOAD_S)
        box.roll_back(CHAT)
        wait_until(lambda: workers(box) == {pid})
        served = len(statuses)
        wait_until(lambda: len(statuses) >= served + CLIENTS)
    assert set(statuses) == {200}
