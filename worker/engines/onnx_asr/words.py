"""From tokens to words: pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from worker.engines.onnx_asr.recogniser import Token

# A token is said in one frame, and its sound goes on for at most so long.
_LONGEST_TOKEN_S = 0.8
# What no space stands before. (The library leaves out the one before any sign: "costs$5".)
_CLOSING = frozenset(".,!?;:%)]}…»”。，！？：；、")  # noqa: RUF001


def text_of(tokens: Sequence[Token]) -> str:
    """Their text, with a space before its first word."""
    return "".join(_text(word) for word in split(tokens))


def split(tokens: Sequence[Token]) -> list[list[Token]]:
    """The tokens of each word with the punctuation behind it."""
    words: list[list[Token]] = []
    for token in tokens:
        if words and (not token.text.startswith(" ") or not words[-1][-1].text.strip()):
            words[-1].append(token)
        else:
            words.append([token])
    joined: list[list[Token]] = []
    for word in words:
        plain = "".join(token.text for token in word).strip()
        if joined and not set(plain) - _CLOSING:
            joined[-1] += word
        elif plain:
            joined.append(word)
    return joined


def aligned(tokens: Sequence[Token], end_s: float) -> list[Mapping[str, Any]]:
    """The words of a sound of ``end_s`` seconds as `worker.hearing.words.said` wants them: one ends
    where the next begins."""
    words = split(tokens)
    ends = [*(_start(word) for word in words[1:]), end_s]
    return [
        {
            "word": _text(word),
            "tokens": [token.number for token in word],
            "start": _start(word),
            "end": min(end, (word[-1].start_s or 0.0) + _LONGEST_TOKEN_S),
            "probability": math.exp(sum(token.logprob for token in word) / len(word)),
        }
        for word, end in zip(words, ends, strict=False)
    ]


def _start(word: Sequence[Token]) -> float:
    """Not of a space: those that stand by themselves are said where the word before ends."""
    return next(token.start_s or 0.0 for token in word if token.text.strip())


def _text(word: Sequence[Token]) -> str:
    parts = [token.text for token in word]
    return (
        " "
        + "".join(part.strip() if set(part) <= {" ", *_CLOSING} else part for part in parts).strip()
    )
