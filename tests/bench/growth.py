"""How cost grows: with the number of models, and with the number of streams that are silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import msgspec

from bench.client import check, connected, post_json
from bench.figures import Row, quantile
from ipc.messages.spec import Spec
from tests.bench.box import Box, serving
from tests.bench.pairs import RUN_S, Rounds

MODELS = (1, 4, 16)
STREAMS = (1, 10, 100, 1000)
IDLE_S = 3.0
SEQUENTIAL = 200  # requests of each round
# No request is refused for the many that wait; words of silent streams come after the measurement.
_ECHO = Spec(
    name="echo/chat",
    task="chat",
    engine="echo",
    path="",
    slots=max(STREAMS),
    prefetch=max(STREAMS),
    queue_limit=max(STREAMS),
    stall_s=RUN_S,
)
_SILENCE_MS = 3_600_000
_POLL_S = 0.05


async def measure(rounds: Rounds) -> list[Row]:
    """Echo engines, so that nothing but edge-serve itself is measured."""
    figures: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds.count):
        for count in MODELS:
            rounds.say(f"{count} models, round {number + 1} of {rounds.count}")
            for name, value in (await _with_models(count)).items():
                figures.setdefault(name, []).append(value)
        rounds.say(f"silent streams, round {number + 1} of {rounds.count}")
        for name, value in (await _with_streams()).items():
            figures.setdefault(name, []).append(value)
    return [Row(name, unit, values) for (name, unit), values in figures.items()]


async def _with_models(count: int) -> dict[tuple[str, str], float]:
    specs = [msgspec.structs.replace(_ECHO, name=f"echo/{number}") for number in range(count)]
    label = f"{count} {'model' if count == 1 else 'models'}"
    async with serving(specs) as box:
        ready_s = max((await box.ready()).values())
        busy_s, since = box.cpu_s(), perf_counter()
        await asyncio.sleep(IDLE_S)
        share = (box.cpu_s() - busy_s) / (perf_counter() - since)
        report = await box.health()
        workers = [model["replicas"][0]["rss_mb"] for model in report["models"]]
        return {
            (f"{label}: start to all ready", "s"): ready_s,
            (f"{label}: processor when idle, all processes", "% of one"): 100 * share,
            (f"{label}: memory of the supervisor", "MB"): report["supervisor"]["rss_mb"],
            (f"{label}: memory of the frontend", "MB"): report["frontend"]["rss_mb"],
            (f"{label}: memory of a worker, no model", "MB"): sum(workers) / count,
            (f"{label}: latency of a request, p50", "ms"): await _latency_ms(box, specs[-1].name),
        }


async def _with_streams() -> dict[tuple[str, str], float]:
    other = msgspec.structs.replace(_ECHO, name="echo/other", slots=8)
    figures: dict[tuple[str, str], float] = {}
    async with serving([_ECHO, other]) as box:
        await box.ready()
        for count in STREAMS:
            label = f"{count} silent {'stream' if count == 1 else 'streams'}"
            async with _silent(box, count):
                busy_s, since = box.cpu_s(), perf_counter()
                await asyncio.sleep(IDLE_S)
                share = (box.cpu_s() - busy_s) / (perf_counter() - since)
                frontend = (await box.health())["frontend"]["rss_mb"]
                figures |= {
                    (f"{label}: processor, all processes", "% of one"): 100 * share,
                    (f"{label}: memory of the frontend", "MB"): frontend,
                    (f"{label}: latency of a request, p50", "ms"): await _latency_ms(
                        box, other.name
                    ),
                }
    return figures


@asynccontextmanager
async def _silent(box: Box, count: int) -> AsyncIterator[None]:
    """So many streams in the engine's hands that say nothing."""
    request = _request(_ECHO.name, f"/slow {_SILENCE_MS} word", stream=True)
    async with connected(box.port, count) as connections:
        asking = [asyncio.ensure_future(connection.ask(request)) for connection in connections]
        try:
            await _in_flight(box, count)
            yield
        finally:
            for task in asking:
                task.cancel()
    await _in_flight(box, 0)


async def _in_flight(box: Box, count: int) -> None:
    async with asyncio.timeout(RUN_S):
        while True:
            if (await box.replica(_ECHO.name))["in_flight"] == count:
                return
            await asyncio.sleep(_POLL_S)


async def _latency_ms(box: Box, model: str) -> float:
    request = _request(model, "yes", stream=False)
    async with connected(box.port, 1) as (connection,), asyncio.timeout(RUN_S):
        answers = [check(await connection.ask(request)) for _ in range(SEQUENTIAL)]
    return 1000 * quantile([answer.seconds for answer in answers], 0.5)


def _request(model: str, text: str, *, stream: bool) -> bytes:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 1,
        "stream": stream,
    }
    return post_json("/v1/chat/completions", body)
