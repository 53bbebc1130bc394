"""Embeddings: texts a second, for one client with batches and for many with one text each."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from importlib.util import find_spec
from time import perf_counter

from msgspec.structs import replace

from bench.client import Connection, check, connected, post_json
from bench.figures import Row
from bench.words import MixedTexts, Texts
from ipc.messages.control import HEARTBEAT_S
from ipc.messages.spec import Spec
from tests.bench.bare.asked import Run
from tests.bench.bare.engines import SENTENCE_TRANSFORMERS
from tests.bench.bare.others import EMBED_BATCH
from tests.bench.box import Box, serving
from tests.bench.models import Models
from tests.bench.pairs import RUN_S, Rounds, bare

CLIENTS = 32
TEXTS = 512  # of each round
MIXED_TEXTS = 128
MIXED_TOKENS = (8, 512)
_LEFT_OUT = "sentence-transformers is not installed: the rows beside it are left out"


async def measure(rounds: Rounds, models: Models) -> list[Row]:
    """edge-serve over HTTP beside the compiled model, and beside sentence-transformers."""
    exact, quick = (_in(models.spec("embed"), precision) for precision in ("f32", "auto"))
    rows = [*await _short(rounds, exact, exact), *await _short(rounds, quick, exact)]
    if find_spec("sentence_transformers") is None:
        rounds.say(f"{_LEFT_OUT}; run: {sys.executable} -m pip install sentence-transformers")
        return rows
    return [
        *rows,
        *await _mixed(rounds, exact),
        *await _mixed(rounds, quick),
    ]


def _in(spec: Spec, precision: str) -> Spec:
    return replace(spec, options={**spec.options, "precision": precision})


async def _short(rounds: Rounds, spec: Spec, other: Spec) -> list[Row]:
    """Short texts of one length beside the compiled model of ``other``, from text to vectors."""
    texts = Texts()
    rows: list[Row] = []
    about = _about(spec)
    rounds.say(f"{about}: loading both sides")
    async with bare(other) as engine, serving([spec]) as box:
        await box.ready()
        for clients, batch in ((1, EMBED_BATCH), (CLIENTS, 1)):

            async def ours(given: list[str], clients: int = clients, batch: int = batch) -> Run:
                return await _embed(box, clients, spec.name, given, batch)

            await engine.run(texts.take(EMBED_BATCH))
            await ours(texts.take(EMBED_BATCH))
            name = f"{about}, {clients} {'client' if clients == 1 else 'clients'}, {batch} a time"
            take = partial(texts.take, TEXTS)
            left, right = await rounds.alternate(name, take, ours, engine.run)
            rows.append(Row(f"{name}: texts", "1/s", _rates(left), _rates(right)))
            rows.append(Row(f"{name}: processor time of a text", "ms", _costs(left), _costs(right)))
        worker = await box.replica(spec.name)
        memory = (await engine.run(texts.take(EMBED_BATCH))).rss_mb
    return [*rows, Row(f"{about}: memory of the worker", "MB", [worker["rss_mb"]], [memory])]


def _about(spec: Spec) -> str:
    return f"embed, {spec.options['precision']}"


async def _mixed(rounds: Rounds, spec: Spec) -> list[Row]:
    """Texts of all lengths, by many clients of one each, beside one call of sentence-transformers.

    Both cut what is longer than the model takes.
    """
    ours = replace(spec, options={**spec.options, "truncate": True})
    texts = MixedTexts(*MIXED_TOKENS)
    name = f"{_about(spec)}, {MIXED_TOKENS[0]} to {MIXED_TOKENS[1]} tokens"
    rounds.say(f"{name}: loading both sides")
    async with (
        bare(replace(spec, engine=SENTENCE_TRANSFORMERS)) as encode,
        serving([ours]) as box,
    ):
        await box.ready()

        async def embed(given: list[str]) -> Run:
            return await _embed(box, CLIENTS, spec.name, given, 1)

        await encode.run(texts.take(EMBED_BATCH))
        take = partial(texts.take, MIXED_TEXTS)
        left, right = await rounds.alternate(name, take, embed, encode.run)
        padding = await _padding(box, spec.name, rounds.count * MIXED_TEXTS)
    return [
        Row(f"{name}, beside sentence-transformers: texts", "1/s", _rates(left), _rates(right)),
        Row(f"{name}: padding, of all tokens", "%", [100 * padding]),
    ]


async def _padding(box: Box, model: str, jobs: int) -> float:
    """Padding over tokens that were asked for, once the worker has told of all its ``jobs``."""
    async with asyncio.timeout(RUN_S):
        worker = await box.replica(model)
        while worker["jobs"] < jobs:
            await asyncio.sleep(HEARTBEAT_S)
            worker = await box.replica(model)
    share: float = worker["padding_tokens"] / worker["prompt_tokens"]
    return share


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
