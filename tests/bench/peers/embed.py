"""Embeddings: texts a second, from one client with batches and many with one text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import NamedTuple

import msgspec

from bench.client import Connection, check, connected, post_json
from bench.words import MixedTexts, Texts
from tests.bench.box import serving
from tests.bench.peers.results import Measured, Metric
from tests.bench.peers.run import Run
from tests.bench.peers.servers import RUN_S, Running, all_running
from tests.bench.peers.sides import OURS, Side, ours, theirs
from tests.bench.peers.turns import Turns


class Kind(NamedTuple):
    """One way to ask: so many clients, each with so many texts a time."""

    name: str
    clients: int
    batch: int
    texts: int
    take: Callable[[int], list[str]]


KINDS = (
    Kind("32 clients, 1 text of 22 tokens", 32, 1, 512, Texts().take),
    Kind("1 client, 32 texts of 22 tokens", 1, 32, 512, Texts().take),
    Kind("16 clients, 1 text of 128 tokens", 16, 1, 128, Texts(words=126).take),
    Kind("8 clients, 1 text of 256 tokens", 8, 1, 64, Texts(words=254).take),
    Kind("1 client, 64 texts of 8 to 256 tokens", 1, 64, 128, MixedTexts(8, 256).take),
)
EXACT = f"{OURS}, f32"
# It gathers requests of one text only.
ONE_TEXT = ("litserve",)


async def measure(run: Run) -> None:
    """edge-serve as it comes, and computing in float32 as the others do."""
    spec = run.models.spec("embed")
    plain = {**spec.options, "precision": "f32"}
    exact = msgspec.structs.replace(spec, name=f"{spec.name}-f32", options=plain)
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(serving([spec, exact]))
        await box.ready()
        sides: list[Side | Running] = [
            ours(box, "/v1/embeddings", spec.name),
            replace(ours(box, "/v1/embeddings", exact.name), name=EXACT),
        ]
        others = await all_running(stack, run.peers, run.files, run.say)
        sides += [theirs(one, run.files) if one.peer.serves else one for one in others]
        turns = Turns(sides, run.rounds, run.results, run.say)
        for kind in (kind for kind in KINDS if run.rows in kind.name):
            without = ONE_TEXT if kind.batch > 1 else ()
            ask = partial(_texts, kind)
            await turns.warm(kind.take(kind.clients * kind.batch), ask, without)
            await turns.row(kind.name, partial(kind.take, kind.texts), ask, without)


async def _texts(kind: Kind, side: Side | Running, texts: list[str]) -> Measured:
    seconds, cpu_s = await _embed(side, kind, texts)
    return {
        Metric("embeddings: texts", "texts/s"): len(texts) / seconds,
        Metric("embeddings: processor time of a text", "ms"): 1000 * cpu_s / len(texts),
    }


async def _embed(side: Side | Running, kind: Kind, texts: list[str]) -> tuple[float, float]:
    """The seconds and the processor time of all texts."""
    if isinstance(side, Running):
        done = await side.work(texts)
        return done["seconds"], done["cpu_s"]
    starts = range(0, len(texts), kind.batch)
    left = [_request(side, texts[start : start + kind.batch]) for start in starts]

    async def work(connection: Connection) -> None:
        while left:
            check(await connection.ask(left.pop()))

    async with connected(side.port, kind.clients) as connections, asyncio.timeout(RUN_S):
        started_at, cpu_s = perf_counter(), side.cpu_s()
        await asyncio.gather(*map(work, connections))
        return perf_counter() - started_at, side.cpu_s() - cpu_s


def _request(side: Side, texts: list[str]) -> bytes:
    # A list of one is a batch to some.
    given = texts if len(texts) > 1 else texts[0]
    body = {"model": side.model, "input": given, "encoding_format": "base64"}
    return post_json(side.path, body)
