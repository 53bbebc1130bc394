"""Log probabilities of a completion: tokens by their texts, and where each begins."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

from frontend.api.openai.chat_objects import finite
from ipc.messages.events import TokenLogprob

_utf8 = codecs.getincrementaldecoder("utf-8")


class TokenTexts:
    """The tokens of one choice as they come. Of a character of several tokens the last one has the
    text, so that a token is found at its offset."""

    def __init__(self) -> None:
        self._at = 0
        self._begun = False
        self._decode = _utf8("replace").decode

    def pass_over(self, text: str) -> None:
        """``text`` comes next, whose tokens are not told."""
        self._at += len(text)
        self._begun = self._begun or bool(text)

    def described(
        self, logprobs: Sequence[TokenLogprob], text: str, *, ends: bool = False
    ) -> dict[str, Any]:
        """``logprobs`` in OpenAI's form. ``text`` is what they add, or begins with it; where it
        ``ends`` tokens after it are left out, as those of a stop text."""
        tokens: list[str] = []
        offsets: list[int] = []
        told: list[TokenLogprob] = []
        end = self._at + len(text)
        for one in logprobs:
            token = self._text(one.data, text)
            if ends and token and self._at >= end:
                break
            told.append(one)
            tokens.append(token)
            offsets.append(self._at)
            self._at += len(token)
        return {
            "tokens": tokens,
            "token_logprobs": [finite(one.logprob) for one in told],
            "top_logprobs": [_likely(one, token) for one, token in zip(told, tokens, strict=True)],
            "text_offset": offsets,
        }

    def _text(self, data: bytes, text: str) -> str:
        """What a token adds. Of the first one some tokenizers take a space away."""
        token = self._decode(data)
        if not self._begun and token:
            self._begun = True
            if token[0] == " " and not text.startswith(token) and text.startswith(token[1:]):
                return token[1:]
        return token


def _likely(one: TokenLogprob, token: str) -> dict[str, float]:
    """The likeliest tokens of one place, and the one that was taken. Of two with the same text the
    likelier counts."""
    found = {token: finite(one.logprob)}
    for other in one.top:
        if other.id != one.id:
            found.setdefault(other.data.decode(errors="replace"), finite(other.logprob))
    return found
