"""Chats: tokens a second and the time to the first token, by how many are written at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from statistics import mean, median
from typing import NamedTuple

import msgspec
import orjson

from bench.box import serving
from bench.client import Answer, ask_each, connected, post_json
from bench.models import Models, Say
from bench.peers.known import Files, Peer
from bench.peers.servers import RUN_S, running
from bench.peers.sides import OURS, Figure, Side, in_turn, ours, theirs
from bench.words import ANSWER_TOKENS, Prompts

STREAMS = (1, 2, 4, 8, 16, 32, 64)
# A side that needed so long is not asked for more streams.
TOO_SLOW_S = 40.0
_TEXT = re.compile(rb'"content": ?"[^"]')
_DONE = b"data: [DONE]"


class Chats(NamedTuple):
    """What so many chats at once came to. Times in seconds."""

    tokens: int
    seconds: float
    cpu_s: float
    first_s: float  # the mean of all
    between_s: float  # the median of all times between two pieces of text


async def measure(
    rounds: int, streams: Sequence[int], models: Models, peers: list[Peer], files: Files, say: Say
) -> list[Figure]:
    """All sides in turn, on the same prompts, none of which was asked before."""
    spec = msgspec.structs.replace(models.spec("chat"), slots=max(streams))
    prompts = Prompts()
    figures: list[Figure] = []
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(serving([spec]))
        await box.ready()
        sides = [ours(box, "/v1/chat/completions", spec.name)]
        for peer in peers:
            say(f"{peer.name}: starting")
            sides.append(theirs(await stack.enter_async_context(running(peer, files)), files))
        sides = [side for side in sides if await _warm(side, prompts.take(1), say)]
        for count in streams:
            level = _Level(count)
            for number in range(rounds):
                given = prompts.take(count)
                for side in in_turn(sides, number):
                    say(f"{count} streams, round {number + 1} of {rounds}: {side.name}")
                    if (chats := await _try(side, given, say)) is None:
                        level.leave_out(side.name)
                    else:
                        level.add(side.name, chats)
                sides = [side for side in sides if side.name not in level.failed]
            figures += level.figures
            sides = [side for side in sides if side.name == OURS or not level.slow(side.name)]
    return figures


async def _warm(side: Side, prompts: list[str], say: Say) -> bool:
    say(f"{side.name}: warming up")
    return await _try(side, prompts, say) is not None


async def _try(side: Side, prompts: list[str], say: Say) -> Chats | None:
    """None where a peer fails, which is said. Raises what goes wrong with edge-serve."""
    try:
        return await ask(side, prompts)
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        if side.name == OURS:
            raise
        say(f"{side.name} failed, and is left out from here: {error}")
        return None


class _Level:
    """What all sides did at one number of streams."""

    def __init__(self, streams: int) -> None:
        self.failed: set[str] = set()
        self._slowest: dict[str, float] = {}
        self._rates = Figure("chat: completion tokens", str(streams), "tokens/s")
        self._firsts = Figure("chat: time to first token", str(streams), "ms")
        self._betweens = Figure("chat: time between pieces of text", str(streams), "ms")
        self._costs = Figure("chat: processor time of a token", str(streams), "ms")

    @property
    def figures(self) -> list[Figure]:
        return [self._rates, self._firsts, self._betweens, self._costs]

    def add(self, side: str, chats: Chats) -> None:
        self._rates.add(side, chats.tokens / chats.seconds)
        self._firsts.add(side, 1000 * chats.first_s)
        self._betweens.add(side, 1000 * chats.between_s)
        self._costs.add(side, 1000 * chats.cpu_s / chats.tokens)
        self._slowest[side] = max(self._slowest.get(side, 0.0), chats.seconds)

    def leave_out(self, side: str) -> None:
        self.failed.add(side)
        for figure in self.figures:
            figure.values.pop(side, None)

    def slow(self, side: str) -> bool:
        return self._slowest[side] >= TOO_SLOW_S


async def ask(side: Side, prompts: list[str]) -> Chats:
    """All ``prompts`` at once, streamed, greedy."""
    requests = [post_json(side.path, _body(side.model, prompt)) for prompt in prompts]
    async with connected(side.port, len(prompts)) as connections:
        cpu_s = side.cpu_s()
        answers = await ask_each(connections, requests, RUN_S)
        cpu_s = side.cpu_s() - cpu_s
    texts = [_text_times(answer) for answer in answers]
    begun_at = min(answer.sent_at for answer in answers)
    gaps = [after - before for times in texts for before, after in pairwise(times)]
    return Chats(
        tokens=sum(_tokens(answer) for answer in answers),
        seconds=max(answer.ended_at for answer in answers) - begun_at,
        cpu_s=cpu_s,
        first_s=mean(
            times[0] - answer.sent_at for times, answer in zip(texts, answers, strict=True)
        ),
        between_s=median(gaps) if gaps else 0.0,
    )


def _body(model: str, prompt: str) -> dict[str, object]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _text_times(answer: Answer) -> list[float]:
    times = [
        at for piece, at in zip(answer.pieces, answer.times, strict=True) if _TEXT.search(piece)
    ]
    if not times:
        raise RuntimeError(f"an answer without text: {answer.body[:300]!r}")
    return times


def _tokens(answer: Answer) -> int:
    """What the stream's own usage counts, else its pieces of text: one token each, or nearly."""
    events = [event[6:] for event in answer.body.split(b"\n") if event.startswith(b"data: {")]
    for event in reversed(events):
        usage = orjson.loads(event).get("usage")
        if usage:
            return int(usage["completion_tokens"])
    return sum(bool(_TEXT.search(event)) for event in events)
