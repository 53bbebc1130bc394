"""Faults of a cluster of three boxes under load, and what clients saw: for docs/cluster.md.

    python -P -m tests.process.figures.cluster [ROUNDS] [FAULT...]

Each box has two clients that stream chats and one that asks for embeddings, without SDKs and
without retries. A row for each fault, of all its rounds. Faults of a box hit one that has a replica
of the chat model, but the first box only where it says so. What clients saw is held against the
logs of the boxes: see `tests.process.faults.ledger`. A partition takes root, and a cluster on a
network of its own: see `tests.clients.networks`.
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
from itertools import count, groupby
from pathlib import Path
from typing import Any

import httpx2
import psutil

from ipc.messages.errors import BY_CODE
from tests.clients.cluster_boxes import ADDRESSES, CHAT, EMBED, LOOPBACK, Box, boxes, kill
from tests.clients.networks import NoNetwork, network
from tests.process.box import wait_until
from tests.process.faults import ledger
from tests.process.faults.ledger import CUT, Ledger

WORDS = [f"w{number}" for number in range(80)]
SLOW = "/slow 25 " + " ".join(WORDS)
BEFORE_S, AFTER_S = 5.0, 15.0
STOPPED_S = 30.0
PARTED_S = 60.0
HUNG_S = 90.0
BACK_S = 240.0
PAUSE_S = 0.05


@dataclass(frozen=True)
class Outcome:
    """One request: through which box, how it ended, and the longest time without a word."""

    id: str
    kind: str
    box: int
    began_at: float
    ended_at: float
    what: str
    gap_s: float = 0.0


@dataclass
class Load:
    """Clients that ask until they are told to stop. ``name`` is what no other has."""

    through: list[Box]
    name: str
    outcomes: list[Outcome] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _clients: list[threading.Thread] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

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

    def served(self, box: int, since: float) -> bool:
        """Whether a request of each kind that began after then has come whole through the box."""
        since_then = [one for one in self.outcomes if one.box == box and one.began_at > since]
        whole = {one.kind for one in since_then if one.what == "whole"}
        return whole == {one.kind for one in self.outcomes}

    def _ask(self, at: int, act: Callable[[httpx2.Client, str], tuple[str, float]]) -> None:
        kind = act.__name__.strip("_")
        with httpx2.Client(base_url=self.through[at].url, timeout=HUNG_S) as client:
            while not self._stop.is_set():
                began_at, gap_s = time.monotonic(), 0.0
                request_id = f"{self.name}-{next(self._numbers)}"
                try:
                    what, gap_s = act(client, request_id)
                except httpx2.ConnectError:
                    what = "not connected"
                except httpx2.TimeoutException:
                    what = "hung"
                except httpx2.TransportError:
                    what = "connection closed"
                ended_at = time.monotonic()
                self.outcomes.append(Outcome(request_id, kind, at, began_at, ended_at, what, gap_s))
                time.sleep(PAUSE_S)

    def _stream(self, client: httpx2.Client, request_id: str) -> tuple[str, float]:
        body = {
            "model": CHAT,
            "stream": True,
            "messages": [{"role": "user", "content": SLOW}],
            "stream_options": {"include_usage": True},
        }
        said, gap_s, last_at, tokens, done = "", 0.0, time.monotonic(), 0, 0
        headers = {"x-request-id": request_id}
        url = "/v1/chat/completions"
        with client.stream("POST", url, json=body, headers=headers) as answer:
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

    def _embed(self, client: httpx2.Client, request_id: str) -> tuple[str, float]:
        body = {"model": EMBED, "input": "a b c"}
        headers = {"x-request-id": request_id}
        answer = client.post("/v1/embeddings", json=body, headers=headers)
        return ("whole" if answer.status_code == 200 else _code(answer.content)), 0.0


def _code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


# --- faults: what is done to which box ---


def replica(box: Box) -> None:
    kill(_replicas(box)[:1])


def raylet(box: Box) -> None:
    kill(box.parts("raylet_socket_name")[:1])


def everything(box: Box) -> None:
    kill(box.everything())


def control(box: Box) -> None:
    kill(box.parts("gcs_server")[:1])


def frontend(box: Box) -> None:
    assert box.server is not None
    family = psutil.Process(box.server.pid).children()
    kill([one for one in family if "frontend" in one.cmdline()])


def stopped(box: Box) -> None:
    all_ = box.everything()
    kill(all_, signal.SIGSTOP)
    time.sleep(STOPPED_S)
    kill(all_, signal.SIGCONT)


def parted(box: Box) -> None:
    box.place.cut_off()
    time.sleep(PARTED_S)
    box.place.let_in()


@dataclass(frozen=True)
class Fault:
    """What is ``done``: to the first box, or to another one that has a replica of the chat model.
    ``through_it`` are requests by that box told apart; ``ends_it`` says that its frontend dies, and
    ``parts_it`` that the others do not hear it: they take it for dead."""

    done: Callable[[Box], None]
    to_first: bool = False
    through_it: bool = True
    ends_it: bool = False
    parts_it: bool = False


FAULTS = {
    "a replica": Fault(replica, through_it=False),
    "b raylet": Fault(raylet),
    "c box": Fault(everything, ends_it=True),
    "d control": Fault(control, to_first=True, through_it=False),
    "e first": Fault(everything, to_first=True, ends_it=True),
    "f frontend": Fault(frontend, ends_it=True),
    "g stopped": Fault(stopped),
    "h parted": Fault(parted, parts_it=True),
}


def _hit(cluster: list[Box], fault: Fault) -> int:
    if fault.to_first:
        return 0
    return next((at for at in (2, 1) if _replicas(cluster[at])), 2)


def _replicas(box: Box) -> list[psutil.Process]:
    return [one for one in box.parts("ray::ServeReplica") if CHAT in " ".join(one.cmdline())]


@dataclass
class Found:
    """What came of the rounds of one fault."""

    elsewhere: Counter[str] = field(default_factory=Counter)
    through_it: Counter[str] = field(default_factory=Counter)
    gaps_s: list[float] = field(default_factory=list)
    longest_s: dict[str, float] = field(default_factory=dict)  # of those through it
    replaced_s: list[float] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    disputes: list[str] = field(default_factory=list)
    embed_ms: dict[str, list[float]] = field(default_factory=lambda: {"before": [], "after": []})


def played(cluster: list[Box], name: str, round_: int, found: Found) -> None:
    """One round."""
    fault = FAULTS[name]
    hit = _hit(cluster, fault)
    load = Load(cluster, f"{name[0]}{round_}")
    load.start()
    time.sleep(BEFORE_S)
    at = time.monotonic()
    others = [box for box in cluster if box is not cluster[hit]]
    replaced = threading.Thread(target=_replaced, args=(others, at, found))
    if fault.parts_it:
        replaced.start()
    fault.done(cluster[hit])
    done_at = time.monotonic()

    def serves() -> bool:
        return not fault.parts_it or load.served(hit, done_at)

    back = threading.Thread(target=_come_back, args=(cluster, serves, at, found))
    back.start()
    time.sleep(AFTER_S)
    back.join()
    load.stop()
    for one in load.outcomes:
        _count(one, at, hit if fault.through_it else None, found)
    for box in range(len(cluster)):
        dead = [at] if fault.ends_it and box == hit else []
        found.disputes += _disputes(cluster[box], load, box, dead)


def _disputes(box: Box, load: Load, at: int, deaths: list[float]) -> list[str]:
    """What clients and the box's log tell differently."""
    books = Ledger()
    for one in load.outcomes:
        if one.box == at and one.what != "not connected":
            books.write(
                ledger.Outcome(one.id, *_told(one.what), one.began_at, one.ended_at),
            )
    marks = f"request_id={load.name}-"
    lines = [line for line in box.log.read_text(errors="replace").splitlines() if marks in line]
    return books.disputes([one for one in lines if "status=" in one], deaths)


def _told(what: str) -> tuple[int, str]:
    """The status and the code of how a request has ended."""
    if what in ("whole", "WRONG"):
        return 200, what
    code = what.removeprefix("error event ")
    return (BY_CODE[code].status, code) if code in BY_CODE else (CUT, what)


def _count(one: Outcome, at: float, hit: int | None, found: Found) -> None:
    if one.kind == "embed" and one.what == "whole" and one.box != hit:
        when = "before" if one.ended_at < at else "after"
        found.embed_ms[when].append(1000 * (one.ended_at - one.began_at))
    if one.ended_at < at:
        return
    where = found.through_it if one.box == hit else found.elsewhere
    how = f"{one.kind} {one.what}"
    where[how] += 1
    if one.box == hit:
        took_s = max(one.ended_at - one.began_at, found.longest_s.get(how, 0.0))
        found.longest_s[how] = round(took_s, 1)
    if one.kind == "stream" and one.what == "whole" and one.began_at < at and one.box != hit:
        found.gaps_s.append(one.gap_s)


def _replaced(others: list[Box], at: float, found: Found) -> None:
    """Until ``others`` have all replicas."""
    wait_until(lambda: _complete(others), BACK_S)
    found.replaced_s.append(time.monotonic() - at)


def _come_back(cluster: list[Box], serves: Callable[[], bool], at: float, found: Found) -> None:
    """Until every box serves and no replica is missing; a server that has died is started again, as
    an operator would."""

    def is_whole() -> bool:
        for box in cluster:
            if box.server is not None and box.server.poll() is not None:
                box.serve()
        return serves() and all(box.ready() for box in cluster) and _complete(cluster)

    wait_until(is_whole, BACK_S)
    found.back_s.append(time.monotonic() - at)


def _complete(cluster: list[Box]) -> bool:
    with contextlib.suppress(AssertionError, psutil.Error):
        return sum(len(box.parts("ray::ServeReplica")) for box in cluster) >= 4
    return False


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))] if values else 0.0


def rows(rounds: int, names: list[str]) -> Iterator[dict[str, Any]]:
    for parts_it, alike in groupby(names, lambda name: FAULTS[name].parts_it):
        with _cluster(can_be_parted=parts_it) as cluster:
            for name in alike:
                found = Found()
                for round_ in range(rounds):
                    played(cluster, name, round_, found)
                yield _row(name, rounds, found)


@contextlib.contextmanager
def _cluster(*, can_be_parted: bool) -> Iterator[list[Box]]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="es-")))
        size = len(ADDRESSES)
        places = stack.enter_context(network(size)) if can_be_parted else LOOPBACK
        yield stack.enter_context(boxes(folder, places=places))


def _row(name: str, rounds: int, found: Found) -> dict[str, Any]:
    p99 = {when: round(_quantile(values, 0.99)) for when, values in found.embed_ms.items()}
    return {
        "fault": name,
        "rounds": rounds,
        "load": round(psutil.getloadavg()[0]),
        "elsewhere": dict(found.elsewhere.most_common()),
        "through it": dict(found.through_it.most_common()),
        "longest s through it": found.longest_s,
        "longest gap s": [round(gap, 1) for gap in sorted(found.gaps_s)[-6:]],
        "replaced s": [round(one, 1) for one in found.replaced_s],
        "back s": [round(one, 1) for one in found.back_s],
        "embed p99 ms": p99,
        "disputes": found.disputes,
    }


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    letters = sys.argv[2:] or [name[0] for name in FAULTS]
    names = [name for letter in letters for name in FAULTS if name[0] == letter]
    try:
        for row in rows(rounds, names):
            print(json.dumps(row), flush=True)
    except NoNetwork as error:
        sys.exit(f"a partition cannot be made here: {error}")


if __name__ == "__main__":
    main()
