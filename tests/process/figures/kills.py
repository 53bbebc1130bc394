"""Workers that are killed one after the other under load, and the books afterwards."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx2
from box import Box, MakeBox, spec, wait_until
from chaos import PATIENCE_S, Leaks, leaks
from ledger import Ledger, Outcome

# Four deaths in ten minutes leave a circuit closed.
KILLS_EACH = 4
MODELS_AT_ONCE = 25
CLIENTS = 8
PAUSE_S = 0.05


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
    found.to_error_s += _to_error_s(ledger, deaths)
    for name, times in ledger.counts().items():
        found.outcomes[name] = found.outcomes.get(name, 0) + times
    box.stop()


def _kill_under_load(
    box: Box, models: list[str], count: int, ledger: Ledger, found: Kills
) -> list[float]:
    """Returns when each worker was killed; ``found`` learns how long each was away."""
    over = threading.Event()
    deaths: list[float] = []
    limits = httpx2.Limits(max_keepalive_connections=0)
    with (
        httpx2.Client(base_url=box.url, timeout=PATIENCE_S, limits=limits) as client,
        ThreadPoolExecutor(CLIENTS + 4) as pool,
    ):
        load = [pool.submit(_load, client, me, models, over, ledger) for me in range(CLIENTS)]
        returns: list[Future[float]] = []
        for number in range(count):
            name = models[number % len(models)]
            generation = wait_until(lambda name=name: _ready(box, name, 0))  # type: ignore[misc]
            os.kill(box.replica(name)["pid"], signal.SIGKILL)
            deaths.append(time.monotonic())
            returns.append(pool.submit(_away_s, box, name, generation, deaths[-1]))
            time.sleep(PAUSE_S)
        found.to_ready_s += [one.result() for one in returns]
        over.set()
        for one in load:
            one.result()
    return deaths


def _ready(box: Box, model: str, after: int) -> int | None:
    """The generation that serves ``model``, if it is a later one than ``after``."""
    replica = box.replica(model)
    fit = replica["state"] == "ready" and replica["generation"] > after
    return int(replica["generation"]) if fit else None


def _away_s(box: Box, model: str, generation: int, killed_at: float) -> float:
    wait_until(lambda: _ready(box, model, generation))
    return time.monotonic() - killed_at


def _to_error_s(ledger: Ledger, deaths: list[float]) -> list[float]:
    """From the last death before it to each error: no other can be what it tells of."""
    errors = [one.ended_at for one in ledger.outcomes if one.code == "worker_crashed"]
    return [at - max(death for death in deaths if death <= at) for at in errors]


def _load(
    client: httpx2.Client, me: int, models: list[str], over: threading.Event, ledger: Ledger
) -> None:
    count = 0
    while not over.is_set():
        count += 1
        name = f"kill-{time.monotonic_ns()}-{me}-{count}"
        body = {
            "model": random.choice(models),
            "messages": [{"role": "user", "content": f"/slow 20 {name} " + "word " * 8}],
        }
        began_at = time.monotonic()
        try:
            headers = {"x-request-id": name}
            answer = client.post("/v1/chat/completions", json=body, headers=headers)
            code = "" if answer.status_code == 200 else answer.json()["error"]["code"]
            ledger.write(Outcome(name, answer.status_code, code, began_at, time.monotonic()))
        except httpx2.TransportError as error:
            code = "hung" if isinstance(error, httpx2.ReadTimeout) else type(error).__name__
            ledger.write(Outcome(name, 0, code, began_at, time.monotonic()))
