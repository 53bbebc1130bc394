"""Ten times more requests than a model can serve, for minutes: python tests/process/overload.py

First the saturation throughput is measured, as many clients as the worker holds jobs, each asking
again at once. Then requests arrive at random times, on average at ten times that rate, whether or
not others have been answered. Prints what came of it; ends with status 1 where a promise of
docs/reliability.md does not hold. ``--mode burst`` measures Retry-After, ``--mode soak`` memory
under a load that can be served.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson
import psutil
import uvloop
from box import CHAT, Box, boxes, spec
from chaos import REAL, real_box

FACTOR = 10
SATURATE_S = 10.0
SETTLE_S = 5.0
SAMPLE_S = 1.0
KEPT_S = 5.0  # how long an idle connection is kept, as in httpx
RESET = 0  # the connection ended before the answer did

_MS = re.compile(r" ms=([\d.]+)")
WORDS = "word " * 10
# Ten words of 20 ms each: 8 jobs at once make about 40 requests a second.
ECHO = {"slots": 8, "options": {"word_ms": 20}}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as its client saw it; times are monotonic seconds."""

    status: int
    retry_after_s: int
    began_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        return self.ended_at - self.began_at


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Target:
    """What to ask of whom. By hand, on connections that are kept: an HTTP client would cost as much
    as the server does, on the same processors."""

    box: Box
    model: str
    slots: int
    max_tokens: int = 16
    idle: list[tuple[float, Connection]] = field(default_factory=list)  # since when

    async def ask(self) -> Answer:
        began_at = time.monotonic()
        try:
            connection = self._idle() or await self._connect()
            status, retry_after_s = await _exchange(connection, self._request())
        except (OSError, EOFError):
            return Answer(RESET, 0, began_at, time.monotonic())
        self.idle.append((time.monotonic(), connection))
        return Answer(status, retry_after_s, began_at, time.monotonic())

    def _idle(self) -> Connection | None:
        """A connection at hand, but none that the server may be closing at this moment."""
        since, connection = self.idle.pop() if self.idle else (0.0, None)
        if connection is None or time.monotonic() - since < KEPT_S:
            return connection
        for _, (_, writer) in [(since, connection), *self.idle]:  # the others are older still
            writer.close()
        self.idle.clear()
        return None

    async def _connect(self) -> Connection:
        return await asyncio.open_connection("127.0.0.1", self.box.port)

    def _request(self) -> bytes:
        text = f"{WORDS}{random.random()}"
        body = {"model": self.model, "max_tokens": self.max_tokens, "temperature": 0}
        body["messages"] = [{"role": "user", "content": text}]
        data = orjson.dumps(body)
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        return head.encode() + data


async def _exchange(connection: Connection, request: bytes) -> tuple[int, int]:
    """Status and Retry-After of an answer that has come whole."""
    reader, writer = connection
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    first, *lines = head.strip().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    await reader.readexactly(int(fields["content-length"]))
    return int(first.split()[1]), int(fields.get("retry-after", 0))


# --- load ---


async def closed_loop(target: Target, clients: int, seconds: float) -> list[Answer]:
    """``clients`` that ask again as soon as they have been answered."""
    end_at = time.monotonic() + seconds
    answers: list[Answer] = []

    async def client() -> None:
        while time.monotonic() < end_at:
            answers.append(await target.ask())

    await asyncio.gather(*(client() for _ in range(clients)))
    return answers


async def open_loop(target: Target, rate: float, seconds: float) -> list[Answer]:
    """Requests at random times, ``rate`` a second on average, never waiting for an answer."""
    answers: list[Answer] = []
    pending: set[asyncio.Task[None]] = set()

    async def one() -> None:
        answers.append(await target.ask())

    due_at = time.monotonic()
    end_at = due_at + seconds
    while due_at < end_at:
        await asyncio.sleep(max(0.0, due_at - time.monotonic()))
        task = asyncio.create_task(one())
        pending.add(task)
        task.add_done_callback(pending.discard)
        due_at += random.expovariate(rate)
    await asyncio.gather(*pending)
    return answers


def throughput(answers: list[Answer], start_at: float, end_at: float) -> float:
    """Requests served a second, of those that ended in the stretch."""
    served = [one for one in answers if one.status == 200 and start_at <= one.ended_at < end_at]
    return len(served) / (end_at - start_at)


# --- memory ---


@dataclass
class Memory:
    """Resident MiB of every process of a box over time, by what it is; and its CPU seconds."""

    box: Box
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)

    async def watch(self) -> None:
        report = await asyncio.to_thread(self.box.health)
        pids = {"supervisor": self.box.process.pid, "frontend": report["frontend"]["pid"]}
        for model in report["models"]:
            pids |= {one["replica"]: one["pid"] for one in model["replicas"]}
        processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        everybody = processes | {"clients": psutil.Process()}
        before = {name: _cpu_s(process) for name, process in everybody.items()}
        while True:
            self.cpu_s = {name: _cpu_s(one) - before[name] for name, one in everybody.items()}
            for name, process in processes.items():
                rss_mb = process.memory_info().rss / 2**20
                self.samples.setdefault(name, []).append((time.monotonic(), rss_mb))
            await asyncio.sleep(SAMPLE_S)

    def slopes(self) -> dict[str, tuple[float, float, float]]:
        """MiB an hour by least squares, the first MiB and the last, of the later half: pools and
        caches fill up at first."""
        found = {}
        for name, points in self.samples.items():
            later = points[len(points) // 2 :]
            slope, _ = statistics.linear_regression(*zip(*later, strict=True))
            found[name] = (slope * 3600, points[0][1], points[-1][1])
        return found


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def watched(memory: Memory, load: Awaitable[list[Answer]]) -> list[Answer]:
    watch = asyncio.create_task(memory.watch())
    try:
        return await load
    finally:
        watch.cancel()


# --- what is measured ---


async def overload(target: Target, seconds: float) -> bool:
    """The promises of case 39."""
    credit = int(target.box.queue(target.model)["credit"])
    saturated = await closed_loop(target, credit, SATURATE_S)
    first_at = saturated[0].began_at
    rate = throughput(saturated, first_at + 1, first_at + SATURATE_S)
    print(f"saturation: {rate:.1f} a second, of {credit} clients that ask again at once")
    memory = Memory(target.box)
    began_at = time.monotonic()
    answers = await watched(memory, open_loop(target, FACTOR * rate, seconds))
    got = throughput(answers, began_at + SETTLE_S, began_at + seconds)
    offered = len(answers) / seconds
    print(
        f"offered: {offered:.0f} a second for {seconds:.0f} s, {offered / rate:.1f} times as many"
    )
    # They would be elsewhere; here they take processors from a model that could use them all.
    left = 1 - memory.cpu_s["clients"] / seconds / (os.cpu_count() or 1)
    print(
        f"served: {got:.1f} a second, {100 * got / rate:.1f} % of saturation, "
        f"{100 * got / rate / left:.1f} % on the processors that the clients left"
    )
    _print_answers(answers)
    _print_spread("429, by the server's own clock", _logged_ms(target.box, 429))
    _print_memory(memory)
    refused = [one for one in answers if one.status == 429]
    told = all(1 <= one.retry_after_s <= 60 for one in refused)
    return got >= 0.95 * rate * left and not _resets(answers) and told and bool(refused)


async def burst(target: Target, _seconds: float) -> bool:
    """Ten times what the queue holds, all at once; whoever is refused comes again when told to."""
    queue = target.box.queue(target.model)
    places = int(queue["credit"] + queue["limit"])
    tries: Counter[int] = Counter()
    waits: list[int] = []

    async def client() -> None:
        for number in range(1, 6):
            answer = await target.ask()
            if answer.status != 429:
                tries[number if answer.status == 200 else RESET] += 1
                return
            waits.append(answer.retry_after_s)
            await asyncio.sleep(answer.retry_after_s)
        tries[-1] += 1

    await closed_loop(target, places, 3.0)  # it must have seen how long jobs take
    began_at = time.monotonic()
    await asyncio.gather(*(client() for _ in range(FACTOR * places)))
    took_s = time.monotonic() - began_at
    first = tries[1]
    second = tries[2] / max(1, FACTOR * places - first)
    print(f"{FACTOR * places} clients at once for {places} places; all done after {took_s:.1f} s")
    print(f"served at try: {dict(sorted(tries.items()))}; Retry-After {min(waits)} to {max(waits)}")
    print(f"of those refused, {100 * second:.1f} % were served when they came again as told")
    return second >= 0.9


async def soak(target: Target, seconds: float) -> bool:
    """A load that can be served, for as long as you have time (case 43)."""
    memory = Memory(target.box)
    answers = await watched(memory, closed_loop(target, target.slots, seconds))
    print(f"served: {throughput(answers, answers[0].began_at, answers[-1].ended_at):.1f} a second")
    _print_answers(answers)
    _print_memory(memory)
    restarts = sum(
        one["restarts"] for model in target.box.health()["models"] for one in model["replicas"]
    )
    print(f"restarts: {restarts}")
    return not restarts and {one.status for one in answers} == {200}


def _resets(answers: list[Answer]) -> int:
    return sum(one.status == RESET for one in answers)


def _print_answers(answers: list[Answer]) -> None:
    print(f"resets: {_resets(answers)}; {len(answers)} answers:")
    by_status: dict[int, list[float]] = {}
    for one in answers:
        by_status.setdefault(one.status, []).append(1000 * one.seconds)
    for status, times in sorted(by_status.items()):
        _print_spread(str(status), times)


def _print_spread(name: str, times: list[float]) -> None:
    times.sort()
    middle, p99 = statistics.median(times), times[math.ceil(0.99 * len(times)) - 1]
    spread = f"median {middle:.1f} ms, p99 {p99:.1f}, worst {times[-1]:.1f}"
    print(f"  {name}: {len(times)}, {spread}")


def _logged_ms(box: Box, status: int) -> list[float]:
    """How long each answer with ``status`` took the frontend: on a small machine the clients' own
    waiting for a processor is most of what they measure."""
    lines = (line for line in box.lines() if f" status={status} " in line)
    return [float(found[1]) for line in lines if (found := _MS.search(line))]


def _print_memory(memory: Memory) -> None:
    for name, (slope, first, last) in memory.slopes().items():
        print(f"  {name}: {first:.1f} MiB, later {last:.1f}, {slope:+.1f} an hour")
    print("CPU seconds:", ", ".join(f"{name} {cpu:.1f}" for name, cpu in memory.cpu_s.items()))


# --- who is measured ---


@contextmanager
def echo_target() -> Iterator[Target]:
    with boxes() as make:
        box = make(spec(CHAT, **ECHO))
        yield Target(box.wait_ready(), CHAT, slots=8)


@contextmanager
def real_target() -> Iterator[Target]:
    with real_box() as box:
        box.wait_ready()
        yield Target(box, REAL[CHAT], slots=8)


MODES: dict[str, Callable[[Target, float], Awaitable[bool]]] = {
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
    with real_target() if args.real else echo_target() as target:
        return not uvloop.run(MODES[args.mode](target, 60 * args.minutes))


if __name__ == "__main__":
    sys.exit(main())
