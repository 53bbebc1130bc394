"""``python -m tests.process.figures.updates``: what updates cost the clients of a model.

Clients ask one after the other, first with an update and then as long without one, in turns, so
that both see the same machine. Each update loads a worker beside the one that serves, and switches
to it. Prints the tables of docs/reload.md. With ``--gguf FILE`` the model is that one, by the
engine for it, else a script that takes 50 ms for an answer.
"""

from __future__ import annotations

import argparse
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ipc.messages.spec import Spec
from tests.process.box import CHAT, MakeBox, boxes, spec, wait_until
from tests.process.faults.test_model_set import ChangingBox, told
from tests.process.figures import p99

TEXT = "/slow 10 one two three four five"
QUESTION = "Write a sentence about the sea."
TOKENS = 16
SLOW_MS = 200
FAST_S = 0.1
# Of a real model on a machine that is busy.
LOAD_S = 600.0

# An event with some text of the answer.
_TEXT = re.compile(r'"content": ?"[^"]')

MakeSpec = Callable[[int], Spec]


@dataclass
class Load:
    """What clients have met: the statuses, and the seconds to the first text of each stream and
    to its end."""

    text: str
    clients: int
    statuses: list[int] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cut: int = 0  # the streams that have not come to their end

    def ask(self, box: ChangingBox, enough: threading.Event) -> None:
        messages = [{"role": "user", "content": self.text}]
        body = {"model": CHAT, "messages": messages, "max_tokens": TOKENS, "stream": True}
        while not enough.is_set():
            self._stream(box, body)

    def _stream(self, box: ChangingBox, body: dict[str, object]) -> None:
        began_at, first_at, ended = time.monotonic(), None, False
        with box.client.stream("POST", "/v1/chat/completions", json=body, timeout=120) as answer:
            self.statuses.append(answer.status_code)
            for line in answer.iter_lines():
                ended = ended or line == "data: [DONE]"
                if first_at is None and _TEXT.search(line):
                    first_at = time.monotonic()
        self.cut += not ended
        self.seconds.append(time.monotonic() - began_at)
        if first_at is not None:
            self.first_s.append(first_at - began_at)

    @contextmanager
    def runs(self, box: ChangingBox) -> Iterator[None]:
        enough = threading.Event()
        with ThreadPoolExecutor(self.clients) as pool:
            clients = [pool.submit(self.ask, box, enough) for _ in range(self.clients)]
            try:
                yield
            finally:
                enough.set()
        for client in clients:
            client.result()


def updated(box: ChangingBox, model: Spec) -> float:
    """One update from its wish until the worker from before it has gone; returns its seconds."""
    began_at = time.monotonic()
    pid = box.replica(CHAT)["pid"]
    box.add(model)
    wait_until(lambda: pid not in {one["pid"] for one in box.models()[CHAT]["replicas"]}, LOAD_S)
    return time.monotonic() - began_at


def rounds(box: ChangingBox, model: MakeSpec, count: int, without: Load, during: Load) -> None:
    """As long without updates as with one, so often."""
    for number in range(count):
        with during.runs(box):
            took_s = updated(box, model(number))
        print(f"update {number + 1}: {took_s:.1f} s", flush=True)
        with without.runs(box):
            time.sleep(took_s)


def show(name: str, load: Load) -> None:
    failed = sum(status != 200 for status in load.statuses)
    times = [f"{1e3 * each:.0f}" for all_s in (load.first_s, load.seconds) for each in _two(all_s)]
    print(f"| {name} | {len(load.statuses)} | {failed} | {load.cut} | {' | '.join(times)} |")


def _two(seconds: list[float]) -> tuple[float, float]:
    return statistics.median(seconds), p99(seconds)


def cost(make: MakeBox, model: MakeSpec, count: int, text: str, clients: int) -> None:
    """Prints what so many updates cost."""
    box = make(model(-1), update_watch_s=0.0).wait_ready()
    assert isinstance(box, ChangingBox)
    without, during = Load(text, clients), Load(text, clients)
    rounds(box, model, count, without, during)
    print("| | requests | not 200 | cut | first text ms | p99 ms | whole ms | p99 ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    show("without", without)
    show(f"{count} updates", during)


def back_s(box: ChangingBox) -> float:
    """From the wish to go back until a request comes that the old worker answers: that is the slow
    one, so that it is known within milliseconds whose an answer is."""
    switched = told(box, "update.switched")
    box.add(spec(CHAT))
    wait_until(lambda: told(box, "update.switched") > switched, LOAD_S)
    wait_until(lambda: _takes_s(box) < FAST_S)
    began_at = asked_at = time.monotonic()
    box.roll_back(CHAT)
    while _takes_s(box) < FAST_S:
        asked_at = time.monotonic()
    return asked_at - began_at


def _takes_s(box: ChangingBox) -> float:
    began_at = time.monotonic()
    assert box.ask_model(CHAT, "word").status_code == 200
    return time.monotonic() - began_at


def scripted(number: int) -> Spec:
    return spec(CHAT, slots=5 + number % 2)


def of_file(gguf: Path) -> MakeSpec:
    def make(number: int) -> Spec:
        return spec(CHAT, engine="llama.cpp", path=str(gguf.absolute()), slots=3 + number % 2)

    return make


def main() -> None:
    parser = argparse.ArgumentParser(prog="updates", description=__doc__)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--rollbacks", type=int, default=5)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--gguf", type=Path, help="a real model")
    args = parser.parse_args()
    model, text = (of_file(args.gguf), QUESTION) if args.gguf else (scripted, TEXT)
    with boxes(ChangingBox) as make:
        cost(make, model, args.updates, text, args.clients)
        if args.rollbacks:
            slow = spec(CHAT, options={"word_ms": SLOW_MS})
            kept = make(slow, update_watch_s=60.0).wait_ready()
            assert isinstance(kept, ChangingBox)
            times = [back_s(kept) for _ in range(args.rollbacks)]
            print(f"rollback: median {statistics.median(times):.3f} s, worst {max(times):.3f} s")


if __name__ == "__main__":
    main()
