"""Chats: tokens a second and the time to the first token, by how many are written at once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from statistics import mean, median
from typing import NamedTuple

import msgspec
import orjson

from bench.client import Answer, ask_each, connected, post_json
from bench.words import ANSWER_TOKENS, Prompts, Texts
from tests.bench.box import serving
from tests.bench.peers.results import Measured, Metric
from tests.bench.peers.run import Run
from tests.bench.peers.servers import RUN_S, all_running
from tests.bench.peers.sides import Side, ours, theirs
from tests.bench.peers.turns import Turns

STREAMS = (1, 2, 4, 8, 16, 32, 64)
# Long prompts begin with so many words, each of which is one token to most tokenizers.
PREFIX_WORDS = 2000
PREFIX_STREAMS = (1, 4)
# What a chat may hold with its answer.
CONTEXT_TOKENS = 2048
PREFIX_CONTEXT_TOKENS = 4096
SHARE = Metric("chat: share of the rate at which memory could be read", "%")
_TEXT = re.compile(rb'"content": ?"[^"]')


class Chats(NamedTuple):
    """What so many chats at once came to. Times in seconds."""

    tokens: int
    seconds: float
    cpu_s: float
    first_s: float  # the mean of all
    between_s: float  # the median of all times between two pieces of text

    @property
    def rate_after_first(self) -> float:
        """Tokens a second of one answer once its first token is there; 0 if it has no others."""
        rest_s = self.seconds - self.first_s
        return (self.tokens - 1) / rest_s if self.tokens > 1 and rest_s > 0 else 0.0


async def measure(run: Run) -> None:
    """Short prompts, none of which was asked before, by the number of streams."""
    prompts = Prompts()
    streams = run.streams or STREAMS
    async with _sides(run, max(streams), CONTEXT_TOKENS) as sides:
        turns = Turns(sides, run.rounds, run.results, run.say)
        await turns.warm(prompts.take(1), ask)
        for count in streams:
            measured = partial(_chats, run.most_tokens_per_s if count == 1 else None)
            await turns.row(str(count), partial(prompts.take, count), measured)


async def measure_prefixes(run: Run) -> None:
    """Long prompts, first with beginnings that nobody has seen, then all with one of those."""
    prompts, texts = Prompts(), Texts(PREFIX_WORDS, seed=None)

    def take(count: int) -> tuple[list[str], list[str]]:
        own = texts.take(count)
        return _long(own, prompts), _long(own[:1] * count, prompts)

    streams = run.streams or PREFIX_STREAMS
    async with _sides(run, max(streams), PREFIX_CONTEXT_TOKENS) as sides:
        turns = Turns(sides, run.rounds, run.results, run.say)
        await turns.warm(prompts.take(1), ask)
        for count in streams:
            await turns.row(str(count), partial(take, count), _prefixes)


def _long(beginnings: list[str], prompts: Prompts) -> list[str]:
    questions = prompts.take(len(beginnings))
    return [f"{text}. {question}" for text, question in zip(beginnings, questions, strict=True)]


@asynccontextmanager
async def _sides(run: Run, streams: int, context_tokens: int) -> AsyncIterator[list[Side]]:
    """All with room for so many chats of so many tokens."""
    spec = run.chat_spec()
    options = {**spec.options, "kv_cache_tokens": streams * context_tokens}
    spec = msgspec.structs.replace(spec, slots=streams, options=options)
    files = replace(run.files, streams=streams, context_tokens=context_tokens)
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(serving([spec]))
        await box.ready()
        others = await all_running(stack, run.peers, files, run.say)
        yield [
            ours(box, "/v1/chat/completions", spec.name),
            *(theirs(one, files) for one in others),
        ]


async def _chats(most_tokens_per_s: float | None, side: Side, prompts: list[str]) -> Measured:
    chats = await ask(side, prompts)
    measured = {
        Metric("chat: completion tokens", "tokens/s"): chats.tokens / chats.seconds,
        Metric("chat: time to first token", "ms"): 1000 * chats.first_s,
        Metric("chat: time between pieces of text", "ms"): 1000 * chats.between_s,
        Metric("chat: processor time of a token", "ms"): 1000 * chats.cpu_s / chats.tokens,
        Metric("chat: memory of all its processes", "MB"): await side.rss_mb(),
    }
    if most_tokens_per_s is not None:
        measured[SHARE] = 100 * chats.rate_after_first / most_tokens_per_s
    return measured


async def _prefixes(side: Side, given: tuple[list[str], list[str]]) -> Measured:
    new, seen = [await ask(side, prompts) for prompts in given]
    return {
        Metric("long prompts: time to first token", "ms"): 1000 * new.first_s,
        Metric("long prompts, seen before: time to first token", "ms"): 1000 * seen.first_s,
        Metric("long prompts: sooner when seen before", "times"): new.first_s / seen.first_s,
        Metric("long prompts: time between pieces of text", "ms"): 1000 * new.between_s,
        Metric("long prompts: completion tokens", "tokens/s"): new.tokens / new.seconds,
    }


async def ask(side: Side, prompts: list[str], max_tokens: int = ANSWER_TOKENS) -> Chats:
    """All ``prompts`` at once, streamed, greedy."""
    requests = [post_json(side.path, _body(side.model, one, max_tokens)) for one in prompts]
    async with connected(side.port, len(prompts)) as connections:
        cpu_s = side.cpu_s()
        answers = await ask_each(connections, requests, RUN_S)
        cpu_s = side.cpu_s() - cpu_s
    tokens = sum(_tokens(answer) for answer in answers)
    if not tokens:
        raise RuntimeError(f"answers without text: {answers[0].body[:300]!r}")
    texts = [_text_times(answer) for answer in answers]
    begun_at = min(answer.sent_at for answer in answers)
    gaps = [after - before for times in texts for before, after in pairwise(times)]
    return Chats(
        tokens=tokens,
        seconds=max(answer.ended_at for answer in answers) - begun_at,
        cpu_s=cpu_s,
        first_s=mean(
            times[0] - answer.sent_at for times, answer in zip(texts, answers, strict=True)
        ),
        between_s=median(gaps) if gaps else 0.0,
    )


def _body(model: str, prompt: str, max_tokens: int) -> dict[str, object]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _text_times(answer: Answer) -> list[float]:
    """When its texts came, or its end: the first token may be the one that ends an answer."""
    pieces = zip(answer.pieces, answer.times, strict=True)
    return [at for piece, at in pieces if _TEXT.search(piece)] or [answer.ended_at]


def _tokens(answer: Answer) -> int:
    """What the stream's own usage counts, else its pieces of text: one token each, or nearly."""
    events = [event[6:] for event in answer.body.split(b"\n") if event.startswith(b"data: {")]
    for event in reversed(events):
        usage = orjson.loads(event).get("usage")
        if usage:
            return int(usage["completion_tokens"])
    return sum(bool(_TEXT.search(event)) for event in events)
