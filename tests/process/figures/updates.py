"""``python -m tests.process.figures.updates``: what updates cost the clients of a model.

Clients ask one after the other, first without and then with updates, in turns, so that both see the
same machine. Each update loads a worker beside the one that serves, and switches to it. Prints the
table of docs/reload.md.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ipc.messages.spec import Spec
from tests.process.box import CHAT, boxes, spec, wait_until
from tests.process.faults.test_model_set import ChangingBox
from tests.process.figures import p99

CLIENTS = 4
TEXT = "/slow 10 one two three four five"
SLOW_MS = 200
FAST_S = 0.1


class Load:
    """What clients have met: the statuses, and the seconds of each answer."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.seconds: list[float] = []

    def ask(self, box: ChangingBox, enough: threading.Event) -> None:
        while not enough.is_set():
            began_at = time.monotonic()
            self.statuses.append(box.ask_model(CHAT, TEXT).status_code)
            self.seconds.append(time.monotonic() - began_at)

    @contextmanager
    def runs(self, box: ChangingBox) -> Iterator[None]:
        enough = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(self.ask, box, enough) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                enough.set()
        for client in clients:
            client.result()


def updated(box: ChangingBox, model: Spec) -> None:
    """One update from its wish until the worker from before it has gone."""
    pid = box.replica(CHAT)["pid"]
    box.add(model)
    wait_until(lambda: pid not in {one["pid"] for one in box.models()[CHAT]["replicas"]})


def rounds(box: ChangingBox, count: int) -> tuple[Load, Load]:
    """As long without updates as with one, so often."""
    without, with_one = Load(), Load()
    for number in range(count):
        with with_one.runs(box):
            began_at = time.monotonic()
            updated(box, spec(CHAT, slots=5 + number % 2))
            took_s = time.monotonic() - began_at
        with without.runs(box):
            time.sleep(took_s)
    return without, with_one


def back_s(box: ChangingBox) -> float:
    """From the wish to go back until an answer that was asked for since is the old worker's."""
    box.add(spec(CHAT, options={"word_ms": SLOW_MS}))
    wait_until(lambda: _takes_s(box) > FAST_S)
    began_at = time.monotonic()
    box.roll_back(CHAT)
    wait_until(lambda: _takes_s(box) < FAST_S)
    return time.monotonic() - began_at


def _takes_s(box: ChangingBox) -> float:
    began_at = time.monotonic()
    assert box.ask_model(CHAT, "word").status_code == 200
    return time.monotonic() - began_at


def main() -> None:
    parser = argparse.ArgumentParser(prog="updates", description=__doc__)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--rollbacks", type=int, default=5)
    args = parser.parse_args()
    with boxes(ChangingBox) as make:
        box = make(spec(CHAT, slots=4), update_watch_s=0.0).wait_ready()
        assert isinstance(box, ChangingBox)
        without, with_one = rounds(box, args.updates)
        print("| | requests | not 200 | median ms | p99 ms |\n| --- | --- | --- | --- | --- |")
        for name, load in (("without", without), (f"{args.updates} updates", with_one)):
            failed = sum(status != 200 for status in load.statuses)
            middle, high = statistics.median(load.seconds), p99(load.seconds)
            count = len(load.statuses)
            print(f"| {name} | {count} | {failed} | {middle * 1e3:.1f} | {high * 1e3:.1f} |")
        kept = make(spec(CHAT), update_watch_s=60.0).wait_ready()
        assert isinstance(kept, ChangingBox)
        times = [back_s(kept) for _ in range(args.rollbacks)]
        print(f"rollback: median {statistics.median(times):.2f} s, worst {max(times):.2f} s")


if __name__ == "__main__":
    main()
