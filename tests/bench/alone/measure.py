"""One chat over HTTP beside the bare engine in a process of its own: same files, same threads."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import orjson

from bench.client import Answer, ask_each, connected, post_json
from bench.figures import Row
from bench.words import Prompts
from ipc.messages.spec import Spec
from supervisor.config.errors import ConfigError
from supervisor.models.archive import FetchError
from tests.bench.alone.threads import Work, work_of
from tests.bench.bare.asked import Asked, Run
from tests.bench.box import Box, serving
from tests.bench.models import Models
from tests.bench.pairs import RUN_S, Rounds, bare

ENGINES = ("openvino", "llama.cpp", "torch")
ANSWER_TOKENS = (128, 256)


class Served(NamedTuple):
    """One answer: its tokens, the seconds from the request to the last of them, and the work of the
    server's threads for it."""

    tokens: int
    seconds: float
    work: dict[str, Work]

    @property
    def per_s(self) -> float:
        return self.tokens / self.seconds

    def us(self, kind: str) -> float:
        """Processor time of a token in these threads."""
        return self.work.get(kind, Work()).run_ns / 1000 / self.tokens


async def measure(rounds: Rounds, models: Models) -> list[Row]:
    """Each engine that can serve the first chat model of the catalog."""
    rows: list[Row] = []
    for spec in chats(rounds, models):
        rows += await _engine(rounds, spec)
    return rows


def chats(rounds: Rounds, models: Models) -> Iterator[Spec]:
    """The first chat model of the catalog on each engine that can serve it; who cannot is told."""
    for engine in ENGINES:
        try:
            yield models.spec("chat", engine)
        except (ConfigError, FetchError) as error:
            rounds.say(f"{engine}: left out: {error}")


async def _engine(rounds: Rounds, spec: Spec) -> list[Row]:
    prompts = Prompts()
    rows: list[Row] = []
    rounds.say(f"{spec.engine}: loading both sides")
    async with bare(spec) as engine, serving([spec]) as box:
        await box.ready()
        for tokens in ANSWER_TOKENS:

            async def ours(given: str, tokens: int = tokens) -> Served:
                return await ask(box, spec.name, given, tokens)

            async def theirs(given: str, tokens: int = tokens) -> Run:
                return await engine.ask(Asked(inputs=[given], tokens=tokens, ignore_eos=True))

            take = partial(_one, prompts)
            await theirs(take())
            await ours(take())
            label = f"{spec.engine}, {tokens} tokens"
            rows += _rows(label, *await rounds.alternate(label, take, ours, theirs))
    return rows


def _one(prompts: Prompts) -> str:
    return prompts.take(1)[0]


async def ask(box: Box, model: str, prompt: str, tokens: int) -> Served:
    """One streamed answer of exactly so many ``tokens``. Raises `RuntimeError`."""
    async with connected(box.port, 1) as connections:
        before = work_of(box.pid)
        (answer,) = await ask_each(connections, [_request(model, prompt, tokens)], RUN_S)
        after = work_of(box.pid)
    if (written := _written(answer)) != tokens:
        raise RuntimeError(f"asked for {tokens} tokens, got {written}")
    work = {kind: one.since(before.get(kind, Work())) for kind, one in after.items()}
    return Served(tokens, answer.seconds, work)


def _request(model: str, prompt: str, tokens: int) -> bytes:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return post_json("/v1/chat/completions", body)


def _written(answer: Answer) -> int:
    *_, last, end, _ = answer.body.split(b"\n\n")
    if end != b"data: [DONE]":
        raise RuntimeError(f"a stream broke off: {end!r}")
    return int(orjson.loads(last.removeprefix(b"data: "))["usage"]["completion_tokens"])


def _rows(label: str, ours: list[Served], theirs: list[Run]) -> list[Row]:
    kinds = sorted({kind for one in ours for kind in one.work})
    return [
        Row(
            f"{label}: completion tokens",
            "1/s",
            [one.per_s for one in ours],
            [run.amount / run.seconds for run in theirs],
        ),
        Row(
            f"{label}: processor time of a token",
            "µs",
            [sum(map(one.us, one.work)) for one in ours],
            [1e6 * run.cpu_s / run.amount for run in theirs],
        ),
        *(Row(f"{label}: {kind}", "µs", [one.us(kind) for one in ours]) for kind in kinds),
        Row(
            f"{label}: turns of threads that are not the engine's, a token",
            "",
            [_turns(one) for one in ours],
        ),
    ]


def _turns(one: Served) -> float:
    """In how many turns on a processor the server's own threads brought a token to its client."""
    own = (work.turns for kind, work in one.work.items() if kind != "worker, other threads")
    return sum(own) / one.tokens
