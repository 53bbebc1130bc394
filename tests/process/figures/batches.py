"""What a client feels of a batch behind it: a live stream alone, and before 500 lines, in turns.

    python -m tests.process.figures.batches --model NAME [--url http://127.0.0.1:8000] [--pairs 6]

Prints, for each pair, the median time between pieces with a batch over that without, the same for
the longest of twenty (95th percentile), and the time to the first piece of both. With a batch all
slots are at work when the live request comes, so its first piece shows how soon it gets one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx2

LINES = 500
TIMEOUT_S = 300.0
ENDPOINT = "/v1/chat/completions"


@dataclass(frozen=True)
class Stream:
    """Seconds of one live answer."""

    first_s: float
    gaps_s: list[float]

    @property
    def median_s(self) -> float:
        return statistics.median(self.gaps_s)

    @property
    def long_s(self) -> float:
        return statistics.quantiles(self.gaps_s, n=20)[-1]


class Client:
    def __init__(self, url: str, model: str, tokens: int) -> None:
        self._http = httpx2.Client(base_url=url, timeout=TIMEOUT_S)
        self._model = model
        self._tokens = tokens

    def live(self, number: int) -> Stream:
        body = self._body(f"Write a long story about {number} ships on the sea.", self._tokens)
        began_at = time.perf_counter()
        with self._http.stream("POST", ENDPOINT, json={**body, "stream": True}) as answer:
            lines = answer.iter_lines()
            at = [time.perf_counter() for line in lines if line.startswith("data: {")]
        pieces = at[1:]  # the first chunk has a role and no text
        gaps = [later - sooner for sooner, later in pairwise(pieces)]
        return Stream(pieces[0] - began_at, gaps)

    def begin(self) -> str:
        """A batch whose lines are at work when this returns."""
        lines = [
            json.dumps(
                {
                    "custom_id": str(number),
                    "method": "POST",
                    "url": ENDPOINT,
                    "body": self._body(f"Tell me about the number {number}.", 64),
                }
            )
            for number in range(LINES)
        ]
        upload: Any = {"file": ("lines.jsonl", "\n".join(lines).encode())}
        file = self._http.post("/v1/files", data={"purpose": "batch"}, files=upload).json()["id"]
        asked = {"input_file_id": file, "endpoint": ENDPOINT, "completion_window": "24h"}
        batch: str = self._http.post("/v1/batches", json=asked).json()["id"]
        while not self._in_flight():
            time.sleep(0.05)
        time.sleep(1)
        return batch

    def end(self, batch: str) -> int:
        """Call it off; how many lines it had answered."""
        self._http.post(f"/v1/batches/{batch}/cancel")
        while True:
            now = self._http.get(f"/v1/batches/{batch}").json()
            if now["status"] not in ("in_progress", "cancelling") and not self._in_flight():
                return int(now["request_counts"]["completed"])
            time.sleep(0.05)

    def _in_flight(self) -> int:
        models = self._http.get("/health").json()["models"]
        return sum(int(model["queue"]["in_flight"]) for model in models)

    def _body(self, text: str, tokens: int) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}]
        return {"model": self._model, "messages": messages, "max_tokens": tokens, "temperature": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=128)
    asked = parser.parse_args()
    client = Client(asked.url, asked.model, asked.tokens)
    client.live(0)
    ratios = [_pair(client, number) for number in range(1, asked.pairs + 1)]
    print(f"median of {len(ratios)} pairs: {statistics.median(ratios):.3f}")


def _pair(client: Client, number: int) -> float:
    """Both sides on the same prompt, in an order that changes."""
    if number % 2:
        alone = client.live(number)
        beside, answered = _beside(client, number)
    else:
        beside, answered = _beside(client, number)
        alone = client.live(number)
    ratio = beside.median_s / alone.median_s
    print(
        f"gap {1e3 * alone.median_s:.1f} -> {1e3 * beside.median_s:.1f} ms, {ratio:.3f}; "
        f"p95 {1e3 * alone.long_s:.1f} -> {1e3 * beside.long_s:.1f} ms; "
        f"first {1e3 * alone.first_s:.0f} -> {1e3 * beside.first_s:.0f} ms; {answered} lines"
    )
    return ratio


def _beside(client: Client, number: int) -> tuple[Stream, int]:
    batch = client.begin()
    stream = client.live(number)
    return stream, client.end(batch)


if __name__ == "__main__":
    main()
