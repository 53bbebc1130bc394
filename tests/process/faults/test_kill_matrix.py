"""Every way to die, in every phase of a worker's life.

One box for each way; in it one model for each phase, all of them killed at the same time. Each cell
asserts what its clients saw, and each row that everybody is back and nothing is left over.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.process.box import Gate, MakeBox, boxes, spec, wait_until

pytestmark = pytest.mark.long

PHASES = ["loading", "idle", "prefill", "decode", "streaming", "draining"]
SIGNALS = {
    "SIGKILL": signal.SIGKILL,
    "SIGSTOP": signal.SIGSTOP,
    "SIGSEGV": signal.SIGSEGV,
    "SIGABRT": signal.SIGABRT,
}
# These come from within, see `worker.engines.echo.faults`.
ORDERS = {"os._exit": "exit", "os.abort": "abort", "std::terminate": "terminate"}
DEATHS = {
    "SIGKILL": "killed by SIGKILL",
    "SIGSTOP": r"no heartbeat for \d+ s \(killed by SIGKILL\)",  # 5, more on a busy machine
    "SIGSEGV": "killed by SIGSEGV",
    "SIGABRT": "killed by SIGABRT",
    "os._exit": "exited with status 7",
    "os.abort": "killed by SIGABRT",
    "std::terminate": "killed by SIGABRT",
}
FREQUENT = ("SIGKILL", "SIGSTOP", "os._exit")
LONG = "/slow 100 " + "word " * 150

WAYS = [pytest.param(way, marks=[] if way in FREQUENT else [pytest.mark.chaos]) for way in DEATHS]


@dataclass
class Seen:
    """What came of one cell."""

    client: httpx2.Response | None
    next: httpx2.Response
    replica: dict[str, Any]


class Row:
    """One box whose workers all die in the same way."""

    def __init__(self, make: MakeBox, folder: Path, way: str) -> None:
        self.way = way
        self.folder = folder
        self.gate = Gate(folder)
        specs = []
        for phase in PHASES:
            os.mkfifo(folder / phase)
            options: dict[str, Any] = {"orders": str(folder / phase)}
            if phase == "loading":
                options |= self.gate.loads  # until it has been caught at it
            limits: dict[str, Any] = {"recycle_jobs": 1} if phase == "draining" else {}
            specs.append(spec(name(phase), options=options, migrate=False, **limits))
        self.box = make(*specs)
        wait_until(lambda: self.box.ask("/livez") == 200)

    def play(self) -> dict[str, Seen]:
        with ThreadPoolExecutor(len(PHASES)) as pool:
            cells = {phase: pool.submit(self._cell, phase) for phase in PHASES}
            return {phase: cell.result() for phase, cell in cells.items()}

    def _cell(self, phase: str) -> Seen:
        with ThreadPoolExecutor(1) as pool:
            client = _PREPARE[phase](self, pool, name(phase))
            before = self.replica(phase)
            self.kill(phase, before["pid"])
            if phase == "loading":
                self.gate.open()
            answer = client.result() if client else None
        replica = wait_until(lambda: self._ready(phase, before["generation"] + 1))
        return Seen(answer, self.chat(name(phase), "after"), replica)

    def _ready(self, phase: str, generation: int) -> dict[str, Any] | None:
        replica = self.replica(phase)
        fit = replica["state"] == "ready" and replica["generation"] == generation
        return replica if fit else None

    def replica(self, phase: str) -> dict[str, Any]:
        return self.box.replica(name(phase))

    def chat(self, model: str, text: str, **body: Any) -> httpx2.Response:
        messages = [{"role": "user", "content": text}]
        body |= {"model": model, "messages": messages}
        return self.box.client.post("/v1/chat/completions", json=body)

    def kill(self, phase: str, pid: int) -> None:
        if self.way in SIGNALS:
            os.kill(pid, SIGNALS[self.way])
        else:
            order = os.open(self.folder / phase, os.O_WRONLY)
            os.write(order, f"{ORDERS[self.way]}\n".encode())
            os.close(order)


def name(phase: str) -> str:
    return f"echo/chat-{phase}"


Client = Future[httpx2.Response]


def _loading(row: Row, _pool: ThreadPoolExecutor, _model: str) -> None:
    wait_until(lambda: row.replica("loading")["stage"] == "reading the script")


def _idle(row: Row, _pool: ThreadPoolExecutor, model: str) -> None:
    _at_work(row, model, 0)
    wait_until(lambda: row.replica("idle")["in_flight"] == 0)


def _prefill(row: Row, pool: ThreadPoolExecutor, model: str) -> Client:
    _at_work(row, model, 0)
    client = pool.submit(row.chat, model, "/slow 100000 never")
    _at_work(row, model, 1)
    return client


def _decode(row: Row, pool: ThreadPoolExecutor, model: str) -> Client:
    _at_work(row, model, 0)
    client = pool.submit(row.chat, model, LONG)
    wait_until(lambda: row.replica("decode")["completion_tokens"] > 1)
    return client


def _streaming(row: Row, pool: ThreadPoolExecutor, model: str) -> Client:
    _at_work(row, model, 0)
    client = pool.submit(row.chat, model, LONG, stream=True)
    wait_until(lambda: row.replica("streaming")["completion_tokens"] > 1)
    return client


def _draining(row: Row, pool: ThreadPoolExecutor, model: str) -> Client:
    """The first job that ends has the worker recycled; the second is still in hand."""
    _at_work(row, model, 0)
    client = pool.submit(row.chat, model, LONG)
    wait_until(lambda: row.replica("draining")["completion_tokens"] > 1)
    assert row.chat(model, "one").status_code == 200
    wait_until(lambda: row.replica("draining")["state"] == "draining")
    return client


def _at_work(row: Row, model: str, jobs: int) -> None:
    phase = model.rpartition("-")[2]
    wait_until(lambda: row.replica(phase)["state"] == "ready")
    wait_until(lambda: row.replica(phase)["in_flight"] >= jobs)


_PREPARE: dict[str, Callable[[Row, ThreadPoolExecutor, str], Client | None]] = {
    "loading": _loading,
    "idle": _idle,
    "prefill": _prefill,
    "decode": _decode,
    "streaming": _streaming,
    "draining": _draining,
}


@pytest.fixture(scope="module", params=WAYS)
def row(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Row, dict[str, Seen]]]:
    with boxes() as make:
        one = Row(make, tmp_path_factory.mktemp("orders"), request.param)
        yield one, one.play()


@pytest.mark.parametrize("phase", PHASES)
def test_clients_learn_and_the_worker_is_back(row: tuple[Row, dict[str, Seen]], phase: str) -> None:
    one, seen = row[0], row[1][phase]
    assert seen.next.status_code == 200
    if phase == "loading" and one.way == "SIGSTOP":
        assert re.search(r"stopped by a signal for \d+ s", seen.replica["last_exit"])
    else:
        assert re.search(DEATHS[one.way], seen.replica["last_exit"])
    planned = phase == "draining"
    assert (seen.replica["restarts"], seen.replica["recycles"]) == (not planned, planned)
    if phase == "streaming":
        assert seen.client is not None
        events = [line for line in seen.client.text.splitlines() if line]
        assert seen.client.status_code == 200
        assert "worker_crashed" in events[-1]
        assert "data: [DONE]" not in events
    elif seen.client is not None:
        assert seen.client.status_code == 503
        assert seen.client.json()["error"]["code"] == "worker_crashed"
    else:
        assert phase in ("loading", "idle")


def test_nothing_is_left_over(row: tuple[Row, dict[str, Seen]]) -> None:
    box = row[0].box
    wait_until(lambda: box.ask("/readyz") == 200)
    family = box.family()
    assert len(family) == len(PHASES) + 1
    assert not [one for one in family if one.status() == psutil.STATUS_ZOMBIE]
    report = box.health()
    living = {f"frontend.{report['frontend']['generation']}"}
    for model in report["models"]:
        living |= {f"{one['replica']}.{one['generation']}" for one in model["replicas"]}
        assert model["queue"]["in_flight"] == 0
    assert {path.name for path in box.run_dir.iterdir()} <= living | {
        "control",
        "lock",
        "plan.json",
        "server.json",
    }
