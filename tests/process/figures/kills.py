"""Workers that are killed one after the other under load, and the books afterwards."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx2

from tests.process.box import Box, MakeBox, spec, wait_until
from tests.process.faults.chaos import PATIENCE_S, Leaks, leaks, whole
from tests.process.faults.ledger import CUT, Ledger, Outcome

# Four deaths in ten minutes leave a circuit closed.
KILLS_EACH = 4
MODELS_AT_ONCE = 25
CLIENTS = 8
PAUSE_S = 0.05
READ_EVERY_S = 0.01
_FACT = re.compile(r" (\w+)=(\S+)")


class Death(NamedTuple):
    """When the worker of ``model`` was killed, in monotonic seconds."""

    model: str
    generation: int
    at: float


@dataclass
class Kills:
    """What came of them; the times are in seconds. ``problems`` is what must not be: hung clients,
    disputed outcomes, zombies, leaks."""

    problems: list[str] = field(default_factory=list)
    to_error_s: list[float] = field(default_factory=list)
    to_ready_s: list[float] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    before: Leaks | None = None
    after: Leaks | None = None


def kills(make: MakeBox, count: int) -> Kills:
    """``count`` times kill -9 under load, within as few supervisors as the circuits allow."""
    found = Kills()
    models = [f"echo/chat-{number}" for number in range(MODELS_AT_ONCE)]
    while count > 0:
        wanted = min(count, KILLS_EACH * len(models))
        _kill_in_one_box(make, models, wanted, found)
        count -= wanted
    return found


def _kill_in_one_box(make: MakeBox, models: list[str], count: int, found: Kills) -> None:
    box = make(*(spec(name, slots=2) for name in models)).wait_ready()
    ledger = Ledger()
    before = leaks(box)
    deaths = _kill_under_load(box, models, count, ledger, found)
    box.wait_ready()
    after = leaks(box)
    found.before, found.after = found.before or before, after
    found.problems += before.worse(after)
    found.problems += ledger.disputes([one for one in box.lines() if "request_id=kill-" in one])
    found.problems += [f"hung: {one.request_id}" for one in ledger.outcomes if one.code == "hung"]
    found.to_error_s += list(_to_error_s(ledger, deaths))
    for name, times in ledger.counts().items():
        found.outcomes[name] = found.outcomes.get(name, 0) + times
    box.stop()


class News:
    """The workers as the server's log tells of them. To ask /health for them would be a load of its
    own, since it measures each process anew."""

    def __init__(self, box: Box) -> None:
        self._log = box.log.open()
        # By model and generation.
        self._pids: dict[tuple[str, int], int] = {}
        self._ready_at: dict[tuple[str, int], float] = {}
        self._deaths: Counter[str] = Counter()

    def read(self) -> None:
        for line in self._log:
            told = dict(_FACT.findall(line))
            if " supervisor: started " in line and "model" in told:
                self._pids[told["model"], int(told["generation"])] = int(told["pid"])
            elif " supervisor: ready " in line:
                self._ready_at[told["model"], int(told["generation"])] = time.monotonic()

    def follow(self, seconds: float) -> None:
        end_at = time.monotonic() + seconds
        while time.monotonic() < end_at:
            self.read()
            time.sleep(READ_EVERY_S)

    def ready_at(self, model: str, generation: int) -> float:
        """When that worker was ready, once it is."""
        key = model, generation
        wait_until(lambda: self._knows(key))
        return self._ready_at[key]

    def _knows(self, key: tuple[str, int]) -> bool:
        self.read()
        return key in self._ready_at

    def kill(self, model: str) -> Death:
        """Kill its next worker as soon as that is ready."""
        self._deaths[model] += 1
        generation = self._deaths[model]
        self.ready_at(model, generation)
        os.kill(self._pids[model, generation], signal.SIGKILL)
        return Death(model, generation, time.monotonic())

    def close(self) -> None:
        self._log.close()


def _kill_under_load(
    box: Box, models: list[str], count: int, ledger: Ledger, found: Kills
) -> list[Death]:
    """Returns the deaths; ``found`` learns how long each worker was away."""
    over = threading.Event()
    deaths: list[Death] = []
    limits = httpx2.Limits(max_keepalive_connections=0)
    with (
        httpx2.Client(base_url=box.url, timeout=PATIENCE_S, limits=limits) as client,
        contextlib.closing(News(box)) as news,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        load = [pool.submit(_load, client, me, models, over, ledger) for me in range(CLIENTS)]
        for number in range(count):
            deaths.append(news.kill(models[number % len(models)]))
            news.follow(PAUSE_S)
        found.to_ready_s += [
            news.ready_at(death.model, death.generation + 1) - death.at for death in deaths
        ]
        over.set()
        for one in load:
            one.result()
    return deaths


def _to_error_s(ledger: Ledger, deaths: list[Death]) -> Iterator[float]:
    """From the last death of its model's worker to each error."""
    for one in ledger.outcomes:
        if one.code == "worker_crashed":
            model = _model(one.request_id)
            yield one.ended_at - max(
                death.at for death in deaths if death.model == model and death.at <= one.ended_at
            )


def _model(request_id: str) -> str:
    return request_id.partition(":")[2]


def _load(
    client: httpx2.Client, me: int, models: list[str], over: threading.Event, ledger: Ledger
) -> None:
    count = 0
    while not over.is_set():
        count += 1
        model = random.choice(models)
        name = f"kill-{time.monotonic_ns()}-{me}-{count}:{model}"
        body = {
            "model": model,
            "messages": [{"role": "user", "content": f"/slow 20 {name} " + "word " * 8}],
        }
        began_at = time.monotonic()
        try:
            headers = {"x-request-id": name}
            status, code = whole(client.post("/v1/chat/completions", json=body, headers=headers))
        except httpx2.TransportError as error:
            status, code = CUT, type(error).__name__
            if isinstance(error, httpx2.ReadTimeout):
                code = "hung"
        ledger.write(Outcome(name, status, code, began_at, time.monotonic()))
