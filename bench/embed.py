"""Embeddings: texts a second, for one client with batches and for many with one text each."""

from __future__ import annotations

import asyncio
from functools import partial
from time import perf_counter

from bench.bare import EMBED_BATCH, Run
from bench.box import Box, serving
from bench.client import Connection, check, connected, post_json
from bench.figures import Row
from bench.inputs import Texts
from bench.models import Models
from bench.pairs import RUN_S, Rounds, bare

CLIENTS = 32
TEXTS = 512  # of each round


async def measure(rounds: Rounds, models: Models) -> list[Row]:
    """edge-serve over HTTP beside the compiled model, both from text to vectors."""
    spec = models.spec("embed")
    texts = Texts()
    rows: list[Row] = []
    rounds.say("embed: loading both sides")
    async with bare(spec) as engine, serving([spec]) as box:
        await box.ready()
        for clients, batch in ((1, EMBED_BATCH), (CLIENTS, 1)):

            async def ours(given: list[str], clients: int = clients, batch: int = batch) -> Run:
                return await _embed(box, clients, spec.name, given, batch)

            await engine.run(texts.take(EMBED_BATCH))
            await ours(texts.take(EMBED_BATCH))
            name = f"embed, {clients} {'client' if clients == 1 else 'clients'}, {batch} a time"
            take = partial(texts.take, TEXTS)
            left, right = await rounds.alternate(name, take, ours, engine.run)
            rows.append(Row(f"{name}: texts", "1/s", _rates(left), _rates(right)))
            rows.append(Row(f"{name}: processor time of a text", "ms", _costs(left), _costs(right)))
        worker = await box.replica(spec.name)
        memory = (await engine.run(texts.take(EMBED_BATCH))).rss_mb
    return [*rows, Row("embed: memory of the engine's process", "MB", [worker["rss_mb"]], [memory])]


async def _embed(box: Box, clients: int, model: str, texts: list[str], batch: int) -> Run:
    """All texts, each client sending the next batch as soon as its last is answered."""
    left = [_request(model, texts[start : start + batch]) for start in range(0, len(texts), batch)]

    async def work(connection: Connection) -> None:
        while left:
            check(await connection.ask(left.pop()))

    async with connected(box.port, clients) as connections, asyncio.timeout(RUN_S):
        started_at, cpu_s = perf_counter(), box.cpu_s()
        await asyncio.gather(*map(work, connections))
        seconds = perf_counter() - started_at
        return Run(amount=len(texts), seconds=seconds, cpu_s=box.cpu_s() - cpu_s)


def _request(model: str, texts: list[str]) -> bytes:
    # base64 is what the official SDKs ask for.
    body = {"model": model, "input": texts, "encoding_format": "base64"}
    return post_json("/v1/embeddings", body)


def _rates(runs: list[Run]) -> list[float]:
    return [run.amount / run.seconds for run in runs]


def _costs(runs: list[Run]) -> list[float]:
    return [1000 * run.cpu_s / run.amount for run in runs]
