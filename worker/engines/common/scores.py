"""What one engine asks of another's process: how probable it finds the tokens of a text."""

from __future__ import annotations

import msgspec


class AskedScores(msgspec.Struct, frozen=True, kw_only=True):
    """Read the GGUF file ``path`` and tell of all ``tokens`` but the first ``given``."""

    path: str
    tokens: list[int]
    given: int


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Of each token: its log probability, and which token was the ``likeliest`` there."""

    logprobs: list[float]
    likeliest: list[int]
