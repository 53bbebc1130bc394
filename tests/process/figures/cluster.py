"""Faults of a cluster of three boxes under load, and what clients saw: for docs/cluster.md.

    python -P -m tests.process.figures.cluster [ROUNDS] [FAULT...]

Each box has two clients that stream chats and one that asks for embeddings, without SDKs and
without retries. A row for each fault, of all its rounds.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.clients.cluster_boxes import CHAT, EMBED, Box, boxes, kill
from tests.process.box import wait_until

WORDS = [f"w{number}" for number in range(80)]
SLOW = "/slow 25 " + " ".join(WORDS)
BEFORE_S, AFTER_S = 5.0, 15.0
STOPPED_S = 30.0
HUNG_S = 90.0
BACK_S = 240.0
PAUSE_S = 0.05


@dataclass(frozen=True)
class Outcome:
    """One request: through which box, how it ended, and the longest time without a word."""

    kind: str
    box: int
    began_at: float
    ended_at: float
    what: str
    gap_s: float = 0.0


@dataclass
class Load:
    """Clients that ask until they are told to stop."""

    through: list[Box]
    outcomes: list[Outcome] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _clients: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for at in range(len(self.through)):
            for act in (self._stream, self._stream, self._embed):
                self._clients.append(threading.Thread(target=self._ask, args=(at, act)))
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()

    def _ask(self, at: int, act: Callable[[httpx2.Client], tuple[str, float]]) -> None:
        kind = act.__name__.strip("_")
        with httpx2.Client(base_url=self.through[at].url, timeout=HUNG_S) as client:
            while not self._stop.is_set():
                began_at, gap_s = time.monotonic(), 0.0
                try:
                    what, gap_s = act(client)
                except httpx2.ConnectError:
                    what = "not connected"
                except httpx2.TimeoutException:
                    what = "hung"
                except httpx2.TransportError:
                    what = "connection closed"
                ended_at = time.monotonic()
                self.outcomes.append(Outcome(kind, at, began_at, ended_at, what, gap_s))
                time.sleep(PAUSE_S)

    def _stream(self, client: httpx2.Client) -> tuple[str, float]:
        body = {
            "model": CHAT,
            "stream": True,
            "messages": [{"role": "user", "content": SLOW}],
            "stream_options": {"include_usage": True},
        }
        said, gap_s, last_at, tokens, done = "", 0.0, time.monotonic(), 0, 0
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                return _code(answer.read()), 0.0
            for line in answer.iter_lines():
                data = line.removeprefix("data: ")
                done += data == "[DONE]"
                if not data.startswith("{"):
                    continue
                event = json.loads(data)
                if "error" in event:
                    return f"error event {event['error']['code']}", gap_s
                if event["choices"] and (text := event["choices"][0]["delta"].get("content")):
                    now = time.monotonic()
                    gap_s, last_at, said = max(gap_s, now - last_at), now, said + text
                tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
        if done != 1:
            return f"{done} ends", gap_s
        return ("whole" if said.split() == WORDS and tokens == len(WORDS) else "WRONG"), gap_s

    def _embed(self, client: httpx2.Client) -> tuple[str, float]:
        answer = client.post("/v1/embeddings", json={"model": EMBED, "input": "a b c"})
        return ("whole" if answer.status_code == 200 else _code(answer.content)), 0.0


def _code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


# --- faults: what is done, and which box has it (None: no box in particular) ---


def replica(cluster: list[Box]) -> None:
    found = [one for box in cluster for one in _replicas(box)]
    kill(found[:1])


def raylet(cluster: list[Box]) -> None:
    kill(cluster[2].parts("raylet_socket_name")[:1])


def box_(cluster: list[Box]) -> None:
    kill(cluster[2].everything())


def control(cluster: list[Box]) -> None:
    kill(cluster[0].parts("gcs_server")[:1])


def first_box(cluster: list[Box]) -> None:
    kill(cluster[0].everything())


def frontend(cluster: list[Box]) -> None:
    server = cluster[2].server
    assert server is not None
    family = psutil.Process(server.pid).children()
    kill([one for one in family if "frontend" in one.cmdline()])


def stopped(cluster: list[Box]) -> None:
    everything = cluster[2].everything()
    kill(everything, signal.SIGSTOP)
    time.sleep(STOPPED_S)
    kill(everything, signal.SIGCONT)


FAULTS: dict[str, tuple[Callable[[list[Box]], None], int | None]] = {
    "a replica": (replica, None),
    "b raylet": (raylet, 2),
    "c box": (box_, 2),
    "d control": (control, None),
    "e first": (first_box, 0),
    "f frontend": (frontend, 2),
    "g stopped": (stopped, 2),
}


def _replicas(box: Box) -> list[psutil.Process]:
    return [one for one in box.parts("ray::ServeReplica") if CHAT in " ".join(one.cmdline())]


@dataclass
class Found:
    """What came of the rounds of one fault."""

    elsewhere: Counter[str] = field(default_factory=Counter)
    through_it: Counter[str] = field(default_factory=Counter)
    gaps_s: list[float] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    embed_ms: dict[str, list[float]] = field(default_factory=lambda: {"before": [], "after": []})


def played(cluster: list[Box], name: str, found: Found) -> None:
    """One round."""
    fault, hit = FAULTS[name]
    load = Load(cluster)
    load.start()
    time.sleep(BEFORE_S)
    at = time.monotonic()
    fault(cluster)
    back = threading.Thread(target=_come_back, args=(cluster, at, found))
    back.start()
    time.sleep(AFTER_S)
    load.stop()
    back.join()
    for one in load.outcomes:
        _count(one, at, hit, found)


def _count(one: Outcome, at: float, hit: int | None, found: Found) -> None:
    if one.kind == "embed" and one.what == "whole" and one.box != hit:
        when = "before" if one.ended_at < at else "after"
        found.embed_ms[when].append(1000 * (one.ended_at - one.began_at))
    if one.ended_at < at:
        return
    where = found.through_it if one.box == hit else found.elsewhere
    where[f"{one.kind} {one.what}"] += 1
    if one.kind == "stream" and one.what == "whole" and one.began_at < at and one.box != hit:
        found.gaps_s.append(one.gap_s)


def _come_back(cluster: list[Box], at: float, found: Found) -> None:
    """Until every box serves and no replica is missing; a server that has died is started again, as
    an operator would."""

    def is_whole() -> bool:
        for box in cluster:
            if box.server is not None and box.server.poll() is not None:
                box.serve()
        return all(box.ready() for box in cluster) and _complete(cluster)

    wait_until(is_whole, BACK_S)
    found.back_s.append(time.monotonic() - at)


def _complete(cluster: list[Box]) -> bool:
    with contextlib.suppress(AssertionError, psutil.Error):
        return sum(len(box.parts("ray::ServeReplica")) for box in cluster) >= 4
    return False


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))] if values else 0.0


def rows(rounds: int, names: list[str]) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="es-") as folder, boxes(Path(folder)) as cluster:
        for name in names:
            found = Found()
            for _ in range(rounds):
                played(cluster, name, found)
            yield _row(name, rounds, found)


def _row(name: str, rounds: int, found: Found) -> dict[str, Any]:
    p99 = {when: round(_quantile(values, 0.99)) for when, values in found.embed_ms.items()}
    return {
        "fault": name,
        "rounds": rounds,
        "load": round(psutil.getloadavg()[0]),
        "elsewhere": dict(found.elsewhere.most_common()),
        "through it": dict(found.through_it.most_common()),
        "longest gap s": [round(gap, 1) for gap in sorted(found.gaps_s)[-6:]],
        "back s": [round(one, 1) for one in found.back_s],
        "embed p99 ms": p99,
    }


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    letters = sys.argv[2:] or [name[0] for name in FAULTS]
    for row in rows(rounds, [name for letter in letters for name in FAULTS if name[0] == letter]):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
