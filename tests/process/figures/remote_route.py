"""``python -m tests.process.figures.remote_route``: what a model in another box costs.

    python -P -m tests.process.figures.remote_route [--rounds 5] [--also NAME=URL] [--litellm BIN]

Two boxes of ``echo``, and one between whose models are in the first, and in both. Clients ask for
streams of 50 words, at no pace, as many at a time as is said; all ways take turns in each round.
Prints for each way and number of streams the time of one, p50 and p99, what of these it adds to the
way without a hop in the same round, and words a second, medians of the rounds. ``--also`` measures
another server in the same way, ``--litellm`` LiteLLM's proxy in front of both boxes, whose program
is ``BIN`` (``pip install 'litellm[proxy]'`` in an environment of its own).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx2
import yaml

from tests.ports import free_port
from tests.process.box import CHAT, boxes, spec, wait_until

STREAMS = (1, 8, 32)
WORDS = 50
ROUND_S = 2.0
LITELLM_STARTS_S = 120.0
LOCAL = "local"
TEXT = " ".join(f"w{number}" for number in range(WORDS))


class Round(NamedTuple):
    """Milliseconds of each stream, and words of all of them a second."""

    p50_ms: float
    p99_ms: float
    words_s: float
    failed: int


async def measured(url: str, model: str, streams: int) -> Round:
    """So many streams at a time for `ROUND_S`."""
    took_ms: list[float] = []
    failed = 0
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": TEXT}]}
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=streams)
    async with httpx2.AsyncClient(timeout=60, limits=limits, trust_env=False) as client:
        await _asked(client, url, body)  # connections are made before
        began_at = time.perf_counter()

        async def ask_on() -> None:
            nonlocal failed
            while time.perf_counter() - began_at < ROUND_S:
                asked_at = time.perf_counter()
                failed += not await _asked(client, url, body)
                took_ms.append(1000 * (time.perf_counter() - asked_at))

        await asyncio.gather(*(ask_on() for _ in range(streams)))
        took_s = time.perf_counter() - began_at
    took_ms.sort()
    p99 = took_ms[min(len(took_ms) - 1, int(0.99 * len(took_ms)))]
    return Round(statistics.median(took_ms), p99, len(took_ms) * WORDS / took_s, failed)


async def _asked(client: httpx2.AsyncClient, url: str, body: dict[str, object]) -> bool:
    """Whether one stream came to its end."""
    async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
        said = b"".join([piece async for piece in answer.aiter_bytes()])
    return answer.status_code == 200 and b"[DONE]" in said


def compare(ways: dict[str, tuple[str, str]], rounds: int) -> None:
    """``ways`` are addresses and models by their names."""
    found: dict[tuple[str, int], list[Round]] = {}
    for _ in range(rounds):
        for streams in STREAMS:
            for name, (url, model) in ways.items():
                one = asyncio.run(measured(url, model, streams))
                found.setdefault((name, streams), []).append(one)
    for (name, streams), each in sorted(found.items(), key=lambda pair: pair[0][1]):
        pairs = [*zip(each, found[LOCAL, streams], strict=True)]
        row = {
            "way": name,
            "streams": streams,
            "added_p50_ms": round(statistics.median(a.p50_ms - b.p50_ms for a, b in pairs), 1),
            "added_p99_ms": round(statistics.median(a.p99_ms - b.p99_ms for a, b in pairs), 1),
            "p50_ms": round(statistics.median(one.p50_ms for one in each), 1),
            "p99_ms": round(statistics.median(one.p99_ms for one in each), 1),
            "words_s": round(statistics.median(one.words_s for one in each)),
            "failed": sum(one.failed for one in each),
        }
        print(json.dumps(row), flush=True)


@contextlib.contextmanager
def litellm(program: Path, backends: Sequence[str]) -> Iterator[str]:
    """The address of LiteLLM's proxy, which chooses one of ``backends`` for each request."""
    port = free_port()
    served = [
        {
            "model_name": CHAT,
            "litellm_params": {"model": f"openai/{CHAT}", "api_base": url, "api_key": "unused"},
        }
        for url in backends
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yaml")
        config.write_text(yaml.safe_dump({"model_list": served}))
        with Path(folder, "log").open("wb") as log:
            started = subprocess.Popen(
                [program, "--config", config, "--host", "127.0.0.1", "--port", str(port)],
                env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
                stdout=log,
                stderr=log,
            )
            try:
                url = f"http://127.0.0.1:{port}"
                wait_until(lambda: _answers(f"{url}/health/liveliness"), LITELLM_STARTS_S)
                yield url
            finally:
                started.terminate()
                started.wait()


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(url, trust_env=False).status_code == 200
    return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="remote_route", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=URL")
    parser.add_argument("--litellm", type=Path, metavar="BIN")
    args = parser.parse_args()
    with boxes() as make, contextlib.ExitStack() as stack:
        models = [CHAT, "both/chat"]
        far = [make(spec(CHAT, slots=64, queue_limit=256)).wait_ready() for _ in range(2)]
        given = [[f"{far[0].url}/v1"], [f"{box.url}/v1" for box in far]]
        near = make(
            *(
                spec(
                    name,
                    engine="remote",
                    slots=64,
                    queue_limit=256,
                    options={"base_url": urls, "model": CHAT},
                )
                for name, urls in zip(models, given, strict=True)
            )
        ).wait_ready()
        ways = {
            LOCAL: (far[0].url, CHAT),
            "remote, one box": (near.url, CHAT),
            "remote, two boxes": (near.url, "both/chat"),
        }
        if args.litellm:
            ways["LiteLLM, two boxes"] = (
                stack.enter_context(litellm(args.litellm, given[1])),
                CHAT,
            )
        also = (each.partition("=") for each in args.also)
        ways |= {name: (url, CHAT) for name, _, url in also}
        compare(ways, args.rounds)
        print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
