"""Chat: tokens a second, time to the first token and time between tokens, by streams."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import mean
from typing import NamedTuple

import msgspec
import orjson

from bench.client import Answer, ask_each, connected, post_json
from bench.figures import Row, quantile
from bench.words import ANSWER_TOKENS, Prompts, Texts
from tests.bench.bare.asked import Run
from tests.bench.box import Box, serving
from tests.bench.models import Models
from tests.bench.pairs import RUN_S, Rounds, bare

STREAMS = (1, 2, 4, 8, 16, 32, 64)
# Long prompts begin with so many words, each of which is one token to most tokenizers.
PREFIX_WORDS = 2000
PREFIX_STREAMS = (1, 4)
_TEXT = re.compile(rb'"content":"[^"]')


class _Chats(NamedTuple):
    """What so many streams at once came to. Times in seconds."""

    tokens: int
    seconds: float
    cpu_s: float
    first_s: list[float]
    token_s: list[float]  # each answer's mean time between tokens


async def measure(rounds: Rounds, models: Models) -> list[Row]:
    """edge-serve over HTTP beside `generate` on the same prompts."""
    spec = msgspec.structs.replace(models.spec("chat"), slots=max(STREAMS))
    prompts = Prompts()
    rows: list[Row] = []
    rounds.say("chat: loading both sides")
    async with bare(spec) as engine, serving([spec]) as box:
        await box.ready()

        async def ours(given: list[str]) -> _Chats:
            return await _ask(box, spec.name, given)

        for streams in STREAMS:
            take = partial(prompts.take, streams)
            await engine.run(take())
            await ours(take())
            label = f"chat, {streams} streams"
            rows += _rows(streams, *await rounds.alternate(label, take, ours, engine.run))
        for streams in PREFIX_STREAMS:
            rows += await _prefixes(rounds, streams, prompts, ours)
        worker = await box.replica(spec.name)
        memory = (await engine.run(prompts.take(1))).rss_mb
    return [*rows, Row("chat: memory of the engine's process", "MB", [worker["rss_mb"]], [memory])]


async def _prefixes(
    rounds: Rounds, streams: int, prompts: Prompts, ask: Callable[[list[str]], Awaitable[_Chats]]
) -> list[Row]:
    """The first token of long prompts, each with a beginning of its own, and all with one that was
    asked before."""
    texts = Texts(PREFIX_WORDS, seed=None)
    cold_ms: list[float] = []
    warm_ms: list[float] = []
    for number in range(rounds.count):
        rounds.say(f"chat, {streams} long prompts, round {number + 1} of {rounds.count}")
        own = texts.take(streams)
        shared = own[:1] * streams
        for times, prefixes in ((cold_ms, own), (warm_ms, shared)):
            asked = zip(prefixes, prompts.take(streams), strict=True)
            chats = await ask([f"{prefix}. {question}" for prefix, question in asked])
            times.append(1000 * mean(chats.first_s))
    name = f"chat, {streams} {'stream' if streams == 1 else 'streams'} of {PREFIX_WORDS:,} words"
    faster = [cold / warm for cold, warm in zip(cold_ms, warm_ms, strict=True)]
    return [
        Row(f"{name}: time to first token, mean", "ms", cold_ms),
        Row(f"{name}, all but the last sentence asked before: the same", "ms", warm_ms),
        Row(f"{name}: faster for that", "times", faster),
    ]


async def _ask(box: Box, model: str, prompts: list[str]) -> _Chats:
    requests = [_request(model, prompt) for prompt in prompts]
    async with connected(box.port, len(prompts)) as connections:
        cpu_s = box.cpu_s()
        answers = await ask_each(connections, requests, RUN_S)
        cpu_s = box.cpu_s() - cpu_s
    tokens = [_tokens(answer) for answer in answers]
    firsts = [_first_at(answer) for answer in answers]
    begun_at = min(answer.sent_at for answer in answers)
    return _Chats(
        tokens=sum(tokens),
        cpu_s=cpu_s,
        seconds=max(answer.ended_at for answer in answers) - begun_at,
        first_s=[at - answer.sent_at for at, answer in zip(firsts, answers, strict=True)],
        token_s=[
            (answer.ended_at - at) / max(1, count - 1)
            for at, answer, count in zip(firsts, answers, tokens, strict=True)
        ],
    )


def _request(model: str, prompt: str) -> bytes:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return post_json("/v1/chat/completions", body)


def _tokens(answer: Answer) -> int:
    """The completion tokens that the stream's last chunk counts. Raises `RuntimeError`."""
    events = answer.body.split(b"\n\n")
    if b"data: [DONE]" not in events:
        raise RuntimeError(f"a stream broke off: {events[-2:]!r}")
    usage = orjson.loads(events[events.index(b"data: [DONE]") - 1][len(b"data: ") :])["usage"]
    return int(usage["completion_tokens"])


def _first_at(answer: Answer) -> float:
    """When its first text came, or its end: the first token may be the one that ends an answer."""
    pieces = zip(answer.pieces, answer.times, strict=True)
    return next((at for piece, at in pieces if _TEXT.search(piece)), answer.ended_at)


def _rows(streams: int, ours: list[_Chats], theirs: list[Run]) -> list[Row]:
    name = f"chat, {streams} {'stream' if streams == 1 else 'streams'}"
    first_ms = [[1000 * value for value in chats.first_s] for chats in ours]
    token_ms = [1000 * quantile(chats.token_s, 0.5) for chats in ours]
    return [
        Row(
            f"{name}: completion tokens",
            "1/s",
            [chats.tokens / chats.seconds for chats in ours],
            [run.amount / run.seconds for run in theirs],
        ),
        Row(
            f"{name}: processor time of a token",
            "ms",
            [1000 * chats.cpu_s / chats.tokens for chats in ours],
            [1000 * run.cpu_s / run.amount for run in theirs],
        ),
        Row(
            f"{name}: time to first token, mean",
            "ms",
            [mean(times) for times in first_ms],
            [1000 * run.first_s for run in theirs],
        ),
        Row(f"{name}: time to first token, p50", "ms", [quantile(t, 0.5) for t in first_ms]),
        Row(f"{name}: time to first token, p95", "ms", [quantile(t, 0.95) for t in first_ms]),
        Row(f"{name}: time between tokens, p50", "ms", token_ms),
    ]
