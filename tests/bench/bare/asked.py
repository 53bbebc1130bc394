"""What a bare engine is asked, and what it answers."""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec

from bench.words import ANSWER_TOKENS


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Prompts, texts or paths of recordings. An answer to a prompt has ``tokens`` at most; exactly
    so many where it goes on behind its end."""

    inputs: list[str]
    tokens: int = ANSWER_TOKENS
    ignore_eos: bool = False


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one call did: completion tokens, texts or seconds of audio, in so many seconds.

    ``cpu_s`` is the time of all processors, ``first_s`` the mean time to an answer's first token
    where there are tokens and the library tells it.
    """

    amount: float = 0.0
    seconds: float = 0.0
    cpu_s: float = 0.0
    first_s: float = 0.0
    rss_mb: float = 0.0


# What is asked to the amount of work done and the mean time to the first token.
Work = Callable[[Asked], tuple[float, float]]


def say(stage: str) -> None:
    """How far the loading is."""
    print(stage, file=sys.stderr)
