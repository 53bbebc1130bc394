"""What an answer's headers tell of what its key has left, in the words of the asked API."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from frontend.quotas.allowance import Allowance
from frontend.quotas.quota import Left

Headers = list[tuple[bytes, bytes]]
HeaderForm = Callable[[Allowance], Headers]
NAMES = [
    f"x-ratelimit-{fact}-{what}"
    for what in ("requests", "tokens")
    for fact in ("limit", "remaining", "reset")
]


def openai(allowance: Allowance) -> Headers:
    """As OpenAI has them; nothing of what is not limited."""
    return [
        (f"x-ratelimit-{fact}-{what}".encode(), str(value).encode())
        for what, left in _limited(allowance)
        for fact, value in _facts(left, duration(left.reset_s))
    ]


def anthropic(allowance: Allowance) -> Headers:
    """As Anthropic has them."""
    return [
        (f"anthropic-ratelimit-{what}-{fact}".encode(), str(value).encode())
        for what, left in _limited(allowance)
        for fact, value in _facts(left, _time(left))
    ]


def _limited(allowance: Allowance) -> Iterator[tuple[str, Left]]:
    for what, left in (
        ("requests", allowance.requests_left()),
        ("tokens", allowance.tokens_left()),
    ):
        if left is not None:
            yield what, left


def _facts(left: Left, reset: str) -> Iterator[tuple[str, int | str]]:
    yield "limit", left.limit
    yield "remaining", left.remaining
    yield "reset", reset


def duration(seconds: float) -> str:
    """As Go prints one, which is what OpenAI sends: 6m0s, 8.64s, 120ms."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    parts = [f"{hours}h"] if hours else []
    parts += [f"{minutes}m"] if hours or minutes else []
    return "".join([*parts, f"{rest / 1000:g}s"])


def _time(left: Left) -> str:
    """When all is left again, as RFC 3339 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + math.ceil(left.reset_s)))
