"""How right a server is in what it tells of waits: three loads, what was told, what came.

    python -m tests.process.figures.eta [--url http://127.0.0.1:8000 --chat NAME --embed NAME
        [--speech NAME] [--rare NAME]] [--seconds 60] [--rate 2]

Without ``--url`` a server of its own with ``echo`` engines is asked. The loads, each after the same
learning period, which is not counted:

* ``steady``: chats come one by one, at random, ``--rate`` a second on average;
* ``bursts``: as many chats come all at once, each ten seconds;
* ``mixed``: steady chats, bursts of embeddings, four recordings at once now and then, and one
  request for ``--rare``, a model that is loaded on demand and has been unloaded in between.

Each load is run with chats of a length that is asked for (``fixed``) and with free ones. A time is
right within a quarter of what was told, or 300 ms. Prints a table of how many were.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import statistics
import time
import wave
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np

from ipc.facts.samples import SENTENCE
from tests.process.box import CHAT, EMBED, boxes, spec, wait_until
from worker.audio.decode import SAMPLE_RATE_HZ, decode

RARE = "echo/chat-rare"
TIMEOUT_S = 300.0
BURST_S = 10.0
LEARNING_S = 15.0
# What is right: within a quarter of it, or so much.
RATIO, LEAST_S = 0.25, 0.3
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "and",
    "then",
    "it",
    "goes",
    "home",
    "to",
    "sleep",
]


@dataclass(frozen=True)
class Told:
    """What one request was told and what came, in seconds."""

    load: str
    kind: str
    position: int
    start_s: float | None
    end_s: float | None
    waited_s: float
    took_s: float


class Client:
    """Asks, and keeps what it was told. ``word_ms`` is for ``echo``, whose pace a request names."""

    def __init__(
        self,
        url: str,
        chat: str,
        embed: str,
        speech: str | None,
        rare: str | None,
        word_ms: int = 0,
    ) -> None:
        limits = httpx2.Limits(max_connections=None)
        self._http = httpx2.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits)
        self._chat, self._embed, self.speech, self.rare = chat, embed, speech, rare
        self._recordings = [recording(times) for times in (1, 2, 4)] if speech else []
        self._word_ms = word_ms
        self._random = random.Random(7)
        self.load = ""
        self.refused = 0
        self.told: list[Told] = []

    async def fixed(self) -> None:
        """A chat of a length that is asked for: `ignore_eos` holds it to its ``max_tokens``."""
        tokens = self._random.choice([16, 32, 64])
        await self._ask_chat("fixed", self._chat, tokens, ignore_eos=True, max_tokens=tokens)

    async def free(self) -> None:
        """A chat that ends when the model has said it; of `echo`, when it has repeated it."""
        await self._ask_chat("free", self._chat, self._random.choice([8, 16, 24, 48, 90]))

    async def load_rare(self) -> None:
        assert self.rare is not None
        await self._ask_chat("on demand", self.rare, 16, ignore_eos=True, max_tokens=16)

    async def embed(self) -> None:
        texts = [self._words(self._random.choice([20, 60, 120])) for _ in range(8)]
        await self._ask("embed", "/v1/embeddings", {"model": self._embed, "input": texts})

    async def hear(self) -> None:
        """A recording of a few seconds or some more."""
        sound = self._random.choice(self._recordings)
        files = {"file": ("spoken.wav", sound, "audio/wav")}
        asked = self._http.post(
            "/v1/audio/transcriptions", data={"model": self.speech}, files=files
        )
        await self._note("speech", asked)

    async def _ask_chat(self, kind: str, model: str, words: int, **body: Any) -> None:
        said = self._words(words)
        text = f"/slow {self._word_ms} {said}" if self._word_ms else f"Tell me about {said[:200]}."
        body = {"max_tokens": 256, **body, "messages": [{"role": "user", "content": text}]}
        await self._ask(kind, "/v1/chat/completions", {"model": model, **body})

    async def _ask(self, kind: str, path: str, body: dict[str, Any]) -> None:
        await self._note(kind, self._http.post(path, json=body))

    async def _note(self, kind: str, asked: Awaitable[httpx2.Response]) -> None:
        """Keep what the answer to ``asked`` tells."""
        load, began_at = self.load, time.monotonic()
        answer = await asked
        took_s = time.monotonic() - began_at
        if answer.status_code != 200:
            self.refused += 1
            return
        head = answer.headers
        self.told.append(
            Told(
                load,
                kind,
                int(head["x-queue-position"]),
                _seconds(head.get("x-eta-start-ms")),
                _seconds(head.get("x-eta-end-ms")),
                int(head["x-queue-ms"]) / 1000,
                took_s,
            )
        )

    def _words(self, count: int) -> str:
        return " ".join(self._random.choices(WORDS, k=count))

    async def at_random(
        self, ask: Callable[[], Awaitable[None]], rate: float, for_s: float
    ) -> None:
        """``rate`` a second for so long, and until all are answered."""
        async with asyncio.TaskGroup() as asked:
            end_at = time.monotonic() + for_s
            while time.monotonic() < end_at:
                asked.create_task(_awaited(ask()))
                await asyncio.sleep(self._random.expovariate(rate))

    async def in_bursts(self, ask: Callable[[], Awaitable[None]], count: int, for_s: float) -> None:
        async with asyncio.TaskGroup() as asked:
            for _ in range(max(1, round(for_s / BURST_S))):
                for _ in range(count):
                    asked.create_task(_awaited(ask()))
                await asyncio.sleep(BURST_S)

    async def now_and_then(self, for_s: float) -> None:
        """The rare model, which has had the time to be unloaded before each."""
        for _ in range(max(1, round(for_s / BURST_S))):
            await self.load_rare()
            await asyncio.sleep(BURST_S)


def recording(times: int) -> bytes:
    """A sentence, said so many times, as a WAV file."""
    samples = np.tile(decode(SENTENCE.read_bytes()), times)
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        sound.writeframes((samples * 32767).astype("<i2").tobytes())
    return out.getvalue()


async def _awaited(asked: Awaitable[None]) -> None:
    await asked


def _seconds(ms: str | None) -> float | None:
    return None if ms is None else int(ms) / 1000


async def measure(client: Client, seconds: float, rate: float) -> None:
    for chat in (client.fixed, client.free):
        client.load = "learning"
        await client.in_bursts(chat, round(rate * BURST_S), LEARNING_S)
        client.load = "steady"
        await client.at_random(chat, rate, seconds)
        client.load = "bursts"
        await client.in_bursts(chat, round(rate * BURST_S), seconds)
    client.load = "learning"
    await client.in_bursts(client.embed, 32, LEARNING_S)
    if client.speech is not None:
        await client.in_bursts(client.hear, 4, LEARNING_S)
    if client.rare is not None:
        await client.now_and_then(2 * BURST_S)
    client.load = "mixed"
    async with asyncio.TaskGroup() as asked:
        asked.create_task(client.at_random(client.fixed, rate / 2, seconds))
        asked.create_task(client.in_bursts(client.embed, 32, seconds))
        if client.speech is not None:
            asked.create_task(client.in_bursts(client.hear, 4, seconds))
        if client.rare is not None:
            asked.create_task(client.now_and_then(seconds))


def is_right(told_s: float, came_s: float) -> bool:
    return abs(came_s - told_s) <= max(RATIO * told_s, LEAST_S)


def table(told: Iterable[Told]) -> list[str]:
    """A line for each load and kind: what is right of all, of those that waited, of the ends."""
    rows = [
        "| load | kind | requests | starts right | that waited | of them right "
        "| median wait | error, 10 to 90 % | ends right |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    groups: dict[tuple[str, str], list[Told]] = {}
    for one in told:
        if one.load != "learning":
            groups.setdefault((one.load, one.kind), []).append(one)
    return rows + [_row(load, kind, group) for (load, kind), group in groups.items()]


def _row(load: str, kind: str, group: list[Told]) -> str:
    starts = [(one.start_s, one.waited_s) for one in group if one.start_s is not None]
    waited = [(one.start_s, one.waited_s) for one in group if one.position and one.start_s]
    ends = [(one.end_s, one.took_s) for one in group if one.end_s is not None]
    errors = sorted(came - told for told, came in waited)
    spread = "" if len(errors) < 10 else f"{_at(errors, 0.1):+.2f} to {_at(errors, 0.9):+.2f} s"
    middle = f"{statistics.median(came for _, came in waited):.2f} s" if waited else ""
    cells = [load, kind, len(group), _share(starts), len(waited), _share(waited), middle, spread]
    return "| " + " | ".join(map(str, [*cells, _share(ends)])) + " |"


def _share(pairs: list[tuple[float, float]]) -> str:
    right = sum(is_right(told, came) for told, came in pairs)
    return f"{100 * right / len(pairs):.0f} %" if pairs else ""


def _at(ordered: list[float], part: float) -> float:
    return ordered[round(part * (len(ordered) - 1))]


def run(client: Client, seconds: float, rate: float) -> None:
    asyncio.run(measure(client, seconds, rate))
    print("\n".join(table(client.told)))
    if client.refused:
        print(f"{client.refused} refused")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for flag in ("--url", "--chat", "--embed", "--speech", "--rare"):
        parser.add_argument(flag)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=2.0)
    args = parser.parse_args()
    if args.url:
        client = Client(args.url, args.chat, args.embed, args.speech, args.rare)
        run(client, args.seconds, args.rate)
        return
    with boxes() as make:
        rare = spec(RARE, load="on_demand", idle_unload_s=2.0, options={"load_s": 3.0})
        box = make(spec(CHAT, slots=4, prefetch=1), spec(EMBED, slots=4, prefetch=1), rare)
        wait_until(lambda: box.ask("/readyz") == 200)
        run(Client(box.url, CHAT, EMBED, None, RARE, 40), args.seconds, args.rate)


if __name__ == "__main__":
    main()
