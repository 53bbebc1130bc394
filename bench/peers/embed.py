"""Embeddings: texts a second, from one client with batches and many with one text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

import msgspec

from bench.box import serving
from bench.client import Connection, check, connected, post_json
from bench.models import Models, Say
from bench.peers.known import Files, Peer
from bench.peers.servers import RUN_S, Running, running
from bench.peers.sides import OURS, Figure, Side, in_turn, ours, theirs
from bench.words import MixedTexts, Texts


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


async def measure(
    rounds: int, models: Models, peers: list[Peer], files: Files, say: Say
) -> list[Figure]:
    """All sides in turn; edge-serve as it comes, and computing in float32 as the others do."""
    spec = models.spec("embed")
    plain = {**spec.options, "precision": "f32"}
    exact = msgspec.structs.replace(spec, name=f"{spec.name}-f32", options=plain)
    figures = []
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(serving([spec, exact]))
        await box.ready()
        sides: list[Side | Running] = [
            ours(box, "/v1/embeddings", spec.name),
            replace(ours(box, "/v1/embeddings", exact.name), name=EXACT),
        ]
        for peer in peers:
            say(f"{peer.name}: starting")
            one = await stack.enter_async_context(running(peer, files))
            sides.append(theirs(one, files) if peer.serves else one)
        for kind in KINDS:
            rates = Figure("embeddings: texts", kind.name, "texts/s")
            costs = Figure("embeddings: processor time of a text", kind.name, "ms")
            asked = [side for side in sides if kind.batch == 1 or side.name not in ONE_TEXT]
            for side in asked:
                await _embed(side, kind, kind.take(kind.clients * kind.batch))
            for number in range(rounds):
                given = kind.take(kind.texts)
                for side in in_turn(asked, number):
                    say(f"{kind.name}, round {number + 1} of {rounds}: {side.name}")
                    seconds, cpu_s = await _embed(side, kind, given)
                    rates.add(side.name, len(given) / seconds)
                    costs.add(side.name, 1000 * cpu_s / len(given))
            figures += [rates, costs]
    return figures


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
