"""Ten times more requests than a model can serve, for minutes.

    python -m tests.process.faults.overload

The speed of a shared machine drifts by more than what is measured, so saturation and overload take
turns: first as many clients as the worker holds jobs, each asking again at once; then the same,
beside clients who come as often as in the overload, but ask nobody, so that what clients take of
the processors they take here too; then requests at random times, on average at ten times the rate
of the first, whether or not others have been answered. What counts is the median of the rounds.

Ends with status 1 where a promise of docs/reliability.md does not hold. ``--mode burst`` measures
Retry-After, ``--mode soak`` memory under a load that can be served.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson
import psutil

from tests.process.box import CHAT, Box, boxes, spec
from tests.process.faults.chaos import REAL, real_box
from tests.process.faults.load import RESET, Answer, Load
from tests.process.figures import p99

FACTOR = 10
SATURATE_S = 15.0
OVERLOAD_S = 30.0
SETTLE_S = 5.0  # of each stretch, not counted: places fill up, or what waits is served first
PROMISED = 0.95

# Ten words of 20 ms each: 8 jobs at once make about 40 requests a second.
ECHO = {"slots": 8, "options": {"word_ms": 20}}
MAX_TOKENS = 16


def chats(model: str) -> Iterator[bytes]:
    """Requests for ``model``, each one a new one to caches."""
    body = {"model": model, "max_tokens": MAX_TOKENS, "temperature": 0}
    text = "word " * 10 + "%09d"
    data = orjson.dumps({**body, "messages": [{"role": "user", "content": text}]})
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data % 0)
    ) + data
    return (request % number for number in itertools.count())


# --- load ---


def closed_loop(
    load: Load, clients: int, seconds: float, shadows: Iterable[float] = ()
) -> list[Answer]:
    """``clients`` that ask again as soon as they have been answered."""
    now = time.monotonic()
    end_at = now + seconds
    return load.run(
        [now] * clients,
        lambda one: one.ended_at if one.ended_at < end_at else None,
        shadows,
    )


def at_random(rate: float, seconds: float) -> Iterator[float]:
    """Times from now on, ``rate`` of them a second on average."""
    at = time.monotonic()
    end_at = at + seconds
    while at < end_at:
        yield at
        at += random.expovariate(rate)


def throughput(answers: list[Answer], seconds: float) -> float:
    """Requests served a second by the clients of a stretch that took ``seconds``."""
    start_at = min(one.began_at for one in answers) + SETTLE_S
    end_at = start_at - SETTLE_S + seconds
    served = [one for one in answers if one.status == 200 and start_at <= one.ended_at < end_at]
    return len(served) / (seconds - SETTLE_S)


# --- memory and processor time ---


@dataclass
class Usage:
    """What every process of a box has taken, by what it is: samples of resident MiB over time, and
    CPU seconds. ``clients`` is this process."""

    box: Box
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        report = self.box.health()
        pids = {"supervisor": self.box.process.pid, "frontend": report["frontend"]["pid"]}
        for model in report["models"]:
            pids |= {one["replica"]: one["pid"] for one in model["replicas"]}
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}

    def sample(self) -> None:
        for name, process in self._processes.items():
            rss_mb = process.memory_info().rss / 2**20
            self.samples.setdefault(name, []).append((time.monotonic(), rss_mb))

    def cpu_s(self) -> dict[str, float]:
        everybody = self._processes | {"clients": psutil.Process()}
        times = {name: process.cpu_times() for name, process in everybody.items()}
        return {name: float(one.user + one.system) for name, one in times.items()}

    def slopes(self) -> dict[str, tuple[float, float, float]]:
        """MiB an hour by least squares, the first MiB and the last, of the later half: pools and
        caches fill up at first."""
        found = {}
        for name, points in self.samples.items():
            later = points[len(points) // 2 :]
            slope, _ = statistics.linear_regression(*zip(*later, strict=True))
            found[name] = (slope * 3600, points[0][1], points[-1][1])
        return found


# --- what is measured ---


@dataclass(frozen=True, slots=True)
class Round:
    """Requests a second: at saturation, at saturation beside clients who ask nobody, and of those
    in the overload. ``cpu_s`` is what each process took of a second of the overload."""

    alone: float
    beside: float
    served: float
    answers: list[Answer]
    cpu_s: dict[str, float]


def overload(box: Box, model: str, seconds: float) -> bool:
    """The promises of case 39."""
    usage = Usage(box)
    load = Load(box.port, chats(model), usage.sample)
    rounds: list[Round] = []
    for number in range(max(1, round(seconds / OVERLOAD_S))):
        rounds.append(_round(load, usage, int(box.queue(model)["credit"])))
        _print_round(number, rounds[-1])
    load.close()
    answers = [answer for one in rounds for answer in one.answers]
    alone = statistics.median(one.served / one.alone for one in rounds)
    beside = statistics.median(one.served / one.beside for one in rounds)
    print(
        f"served, median of {len(rounds)} rounds: {100 * beside:.1f} % of saturation beside such "
        f"clients, {100 * alone:.1f} % of saturation without them"
    )
    _print_answers(answers)
    _print_memory(usage)
    refused = [one for one in answers if one.status == 429]
    told = all(1 <= one.retry_after_s <= 60 for one in refused)
    return beside >= PROMISED and not _resets(answers) and told and bool(refused)


def _round(load: Load, usage: Usage, credit: int) -> Round:
    alone = throughput(closed_loop(load, credit, SATURATE_S), SATURATE_S)
    rate = FACTOR * alone
    shadows = at_random(rate - alone, SATURATE_S)
    beside = throughput(closed_loop(load, credit, SATURATE_S, shadows), SATURATE_S)
    before, began_at = usage.cpu_s(), time.monotonic()
    answers = load.run(at_random(rate, OVERLOAD_S))
    took_s = time.monotonic() - began_at
    cpu_s = {name: (now - before[name]) / took_s for name, now in usage.cpu_s().items()}
    return Round(alone, beside, throughput(answers, OVERLOAD_S), answers, cpu_s)


def burst(box: Box, model: str, _seconds: float) -> bool:
    """Ten times what the queue holds, all at once; whoever is refused comes again when told to."""
    queue = box.queue(model)
    places = int(queue["credit"] + queue["limit"])
    load = Load(box.port, chats(model))
    closed_loop(load, places, 3.0)  # it must have seen how long jobs take
    began_at = time.monotonic()
    answers = load.run(
        [began_at] * (FACTOR * places),
        lambda one: one.ended_at + one.retry_after_s if one.status == 429 else None,
    )
    load.close()
    tries = Counter(one.client for one in answers)
    waits = [one.retry_after_s for one in answers if one.status == 429]
    at = Counter(tries[one.client] for one in answers if one.status == 200)
    second = at[2] / max(1, len(tries) - at[1])
    took_s = time.monotonic() - began_at
    print(f"{len(tries)} clients at once for {places} places; all done after {took_s:.1f} s")
    print(f"served at try: {dict(sorted(at.items()))}; Retry-After {min(waits)} to {max(waits)}")
    print(f"of those refused, {100 * second:.1f} % were served when they came again as told")
    return second >= 0.9


def soak(box: Box, model: str, seconds: float) -> bool:
    """A load that can be served, for as long as you have time (case 43)."""
    usage = Usage(box)
    load = Load(box.port, chats(model), usage.sample)
    answers = closed_loop(load, int(box.queue(model)["credit"]), seconds)
    load.close()
    print(f"served: {throughput(answers, seconds):.1f} a second")
    _print_answers(answers)
    _print_memory(usage)
    restarts = sum(one["restarts"] for each in box.health()["models"] for one in each["replicas"])
    print(f"restarts: {restarts}")
    return not restarts and {one.status for one in answers} == {200}


def _resets(answers: list[Answer]) -> int:
    return sum(one.status == RESET for one in answers)


def _print_round(number: int, one: Round) -> None:
    shares = ", ".join(f"{name} {100 * cpu:.1f} %" for name, cpu in one.cpu_s.items() if cpu > 5e-4)
    print(
        f"round {number}: saturation {one.alone:.1f} a second, beside clients {one.beside:.1f}, "
        f"served {one.served:.1f}: {100 * one.served / one.beside:.1f} %; CPU: {shares}",
        flush=True,
    )


def _print_answers(answers: list[Answer]) -> None:
    print(f"resets: {_resets(answers)}; {len(answers)} answers:")
    by_status: dict[int, list[float]] = {}
    for one in answers:
        by_status.setdefault(one.status, []).append(1000 * one.seconds)
    for status, times in sorted(by_status.items()):
        _print_spread(str(status), times)


def _print_spread(name: str, times: list[float]) -> None:
    spread = (
        f"median {statistics.median(times):.1f} ms, p99 {p99(times):.1f}, worst {max(times):.1f}"
    )
    print(f"  {name}: {len(times)}, {spread}")


def _print_memory(usage: Usage) -> None:
    for name, (slope, first, last) in usage.slopes().items():
        print(f"  {name}: {first:.1f} MiB, later {last:.1f}, {slope:+.1f} an hour")


# --- who is measured ---


@contextmanager
def echo_box() -> Iterator[Box]:
    with boxes() as make:
        yield make(spec(CHAT, **ECHO))


MODES: dict[str, Callable[[Box, str, float], bool]] = {
    "overload": overload,
    "burst": burst,
    "soak": soak,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=MODES, default="overload")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--real", action="store_true", help="the default chat model, as pulled")
    args = parser.parse_args()
    print(f"{args.mode}: {psutil.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    box, model = (real_box(), REAL[CHAT]) if args.real else (echo_box(), CHAT)
    with box as running:
        return not MODES[args.mode](running.wait_ready(), model, 60 * args.minutes)


if __name__ == "__main__":
    sys.exit(main())
