"""Tokens in the forms of three servers; llama.cpp's and vLLM's are one, with the keys of both."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

from frontend.api.answer import Answer
from ipc.messages.events import Token

_utf8 = codecs.getincrementaldecoder("utf-8")


class Piece(Answer):
    """``piece`` is a text, or its bytes where they are none."""

    id: int
    piece: str | list[int]


class Tokens(Answer):
    """Described for ``/openapi.json``, as the others here."""

    tokens: list[int] | list[Piece]
    count: int
    max_model_len: int | None
    token_strs: list[str] | None


class SpannedToken(Answer):
    """``start`` and ``stop`` are characters of the text; a control token has none."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class Detokenized(Answer):
    content: str
    prompt: str


class AppliedTemplate(Answer):
    prompt: str


def tokens_object(
    row: Sequence[Token], context_tokens: int | None, *, pieces: bool = False, texts: bool = False
) -> dict[str, Any]:
    """llama.cpp's and vLLM's."""
    ids = [one.id for one in row]
    return {
        "tokens": [{"id": one.id, "piece": _piece(one.data)} for one in row] if pieces else ids,
        "count": len(row),
        "max_model_len": context_tokens,
        "token_strs": [one.data.decode(errors="replace") for one in row] if texts else None,
    }


def spans(row: Sequence[Token], text: str) -> list[dict[str, Any]]:
    """TEI's: where each token is in ``text``. Of a character of several tokens the last has all."""
    found: list[dict[str, Any]] = []
    decode = _utf8("replace").decode
    at = 0
    for one in row:
        if one.control:
            place = at if text.startswith(one.data.decode(), at) else None
            end = None if place is None else place + len(one.data.decode())
            found.append(_span(one, one.data.decode(), place, end))
            at = at if end is None else end
            continue
        written = decode(one.data)
        if not at and written[:1] == " " and text[:1] != " ":  # the tokenizer's own
            found.append(_span(one, written, 0, len(written) - 1))
            at = len(written) - 1
            continue
        found.append(_span(one, written, at, at + len(written)))
        at += len(written)
    return found


def _span(one: Token, text: str, start: int | None, stop: int | None) -> dict[str, Any]:
    return {"id": one.id, "text": text, "special": one.control, "start": start, "stop": stop}


def _piece(data: bytes) -> str | list[int]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return [*data]
