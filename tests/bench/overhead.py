"""What edge-serve itself costs: everything but the model, by engines that only echo."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import NamedTuple

import psutil

from bench.client import HOST, Connection, ask_each, check, connected, get, post_json
from bench.figures import Row, quantile
from ipc.messages.spec import Spec
from supervisor.config.settings import child_env
from tests.bench.box import free_port, serving, stop
from tests.bench.pairs import RUN_S, Rounds
from tests.bench.plain import EVENTS

CONNECTIONS = 16
LOAD_S = 2.0  # how long each round sends requests
SEQUENTIAL = 500  # requests of each round
_START_S = 30.0
_POLL_S = 0.05

CHAT = Spec(
    name="echo/chat",
    task="chat",
    engine="echo",
    path="",
    slots=CONNECTIONS,
    max_prompt_tokens=10 * EVENTS,
    max_new_tokens=10 * EVENTS,
)
EMBED = Spec(name="echo/embed", task="embed", engine="echo", path="", slots=CONNECTIONS)


class _Load(NamedTuple):
    """Requests or events, the seconds they took, and the HTTP process's processor seconds."""

    done: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.done / self.seconds

    @property
    def cpu_us(self) -> float:
        return 1e6 * self.cpu_s / self.done


class _Side(NamedTuple):
    """A server under load: where it listens, and the process that answers."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


async def measure(rounds: Rounds) -> list[Row]:
    """edge-serve on echo engines beside a bare uvicorn with a fixed answer."""
    rounds.say("overhead: starting both sides")
    async with serving([CHAT, EMBED]) as box, _plain() as (port, pid):
        await box.ready()
        frontend = (await box.health())["frontend"]["pid"]
        sides = _Side(box.port, frontend), _Side(port, pid)
        return [
            *await _latency(rounds, *sides),
            *await _requests(rounds, "chat", _chat("yes"), *sides),
            *await _requests(rounds, "embeddings", _embed(), *sides),
            *await _events(rounds, *sides),
        ]


async def _latency(rounds: Rounds, ours: _Side, bare: _Side) -> list[Row]:
    """One client, one request after the other."""

    async def sequential(side: _Side) -> list[float]:
        async with connected(side.port, 1) as (connection,), asyncio.timeout(RUN_S):
            answers = [check(await connection.ask(_chat("yes"))) for _ in range(SEQUENTIAL)]
        return [1000 * answer.seconds for answer in answers]

    async def us(_: None) -> list[float]:
        return await sequential(ours)

    async def them(_: None) -> list[float]:
        return await sequential(bare)

    left, right = await rounds.alternate("overhead, one client", lambda: None, us, them)
    rows = []
    for share in (0.5, 0.99):
        mine = [quantile(times, share) for times in left]
        plain = [quantile(times, share) for times in right]
        name = f"one chat client: latency, p{100 * share:.0f}"
        added = [a - b for a, b in zip(mine, plain, strict=True)]
        rows += [Row(name, "ms", mine, plain), Row(f"{name}, added", "ms", added)]
    return rows


async def _requests(
    rounds: Rounds, name: str, request: bytes, ours: _Side, bare: _Side
) -> list[Row]:
    """As many requests as `CONNECTIONS` clients can send."""

    async def us(_: None) -> _Load:
        return await _load(ours, request)

    async def them(_: None) -> _Load:
        return await _load(bare, request)

    left, right = await rounds.alternate(f"overhead, {name}", lambda: None, us, them)
    return _rows(f"{name}, {CONNECTIONS} connections", "requests", left, right)


async def _load(side: _Side, request: bytes) -> _Load:
    done = 0

    async def work(connection: Connection) -> None:
        nonlocal done
        while perf_counter() - started_at < LOAD_S:
            check(await connection.ask(request))
            done += 1

    async with connected(side.port, CONNECTIONS) as connections, asyncio.timeout(RUN_S):
        cpu_s, started_at = side.cpu_s(), perf_counter()
        await asyncio.gather(*map(work, connections))
        return _Load(done, perf_counter() - started_at, side.cpu_s() - cpu_s)


async def _events(rounds: Rounds, ours: _Side, bare: _Side) -> list[Row]:
    """Long answers as server-sent events on all connections at once."""
    words = " ".join(["word"] * EVENTS)

    async def us(_: None) -> _Load:
        return await _stream(ours, _chat(words, stream=True, max_tokens=EVENTS))

    async def them(_: None) -> _Load:
        return await _stream(bare, post_json("/stream", {}))

    left, right = await rounds.alternate("overhead, streams", lambda: None, us, them)
    return _rows(f"chat, {CONNECTIONS} streams", "events", left, right)


async def _stream(side: _Side, request: bytes) -> _Load:
    async with connected(side.port, CONNECTIONS) as connections:
        cpu_s, started_at = side.cpu_s(), perf_counter()
        answers = await ask_each(connections, [request] * CONNECTIONS, RUN_S)
        seconds, cpu_s = perf_counter() - started_at, side.cpu_s() - cpu_s
    counts = [answer.body.count(b"data: ") for answer in answers]
    if min(counts) < EVENTS:
        raise RuntimeError(f"a stream broke off after {min(counts)} of {EVENTS} events")
    return _Load(sum(counts), seconds, cpu_s)


def _rows(name: str, unit: str, ours: list[_Load], bare: list[_Load]) -> list[Row]:
    rates = [load.rate for load in ours], [load.rate for load in bare]
    costs = [load.cpu_us for load in ours], [load.cpu_us for load in bare]
    return [
        Row(f"{name}: {unit}", "1/s", *rates),
        Row(f"{name}: processor time of the HTTP process, each", "µs", *costs),
    ]


def _chat(text: str, *, stream: bool = False, max_tokens: int = 1) -> bytes:
    body = {
        "model": CHAT.name,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": max_tokens,
        "stream": stream,
    }
    return post_json("/v1/chat/completions", body)


def _embed() -> bytes:
    return post_json(
        "/v1/embeddings", {"model": EMBED.name, "input": "yes", "encoding_format": "base64"}
    )


@asynccontextmanager
async def _plain() -> AsyncIterator[tuple[int, int]]:
    """A bare uvicorn with `tests.bench.plain`: its port and its process."""
    port = free_port()
    options = ["--host", HOST, "--port", str(port), "--http", "httptools", "--loop", "uvloop"]
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-P", "-m", "uvicorn", "tests.bench.plain:app", "--no-access-log"],
        *[*options, "--log-level", "warning"],
        env=child_env(),
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listening(port)
        yield port, process.pid
    finally:
        await stop(process)


async def _listening(port: int) -> None:
    async with asyncio.timeout(_START_S):
        while True:
            try:
                async with connected(port, 1) as (connection,):
                    await connection.ask(get("/"))
                    return
            except ConnectionError:
                await asyncio.sleep(_POLL_S)
