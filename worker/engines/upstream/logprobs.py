"""Log probabilities as servers send them, of chats and of completions. No sockets in here."""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.messages.events import TokenLogprob
from worker.engines.common.server_json import not_understood, well_formed

# llama.cpp alone tells which token it was.
UNKNOWN_ID = -1
_LEAST = float("-inf")


class _Likely(msgspec.Struct):
    token: str
    logprob: float | None = None
    bytes: list[int] | None = None
    id: int = UNKNOWN_ID
    top_logprobs: list[_Likely] | None = None


class _Listed(msgspec.Struct):
    """The form of completions; those of an echoed prompt's first token are null."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float | None] | None] | None = None


def logprobs_of(said: Any, wanted: int) -> list[TokenLogprob]:
    """The log probabilities in the ``logprobs`` of a choice, each with the ``wanted`` likeliest.

    Raises `InternalError` for what is none.
    """
    if not isinstance(said, dict):
        return []
    try:
        if said.get("tokens") is not None:
            return _listed(msgspec.convert(said, _Listed), wanted)
        found = msgspec.convert(said.get("content") or [], list[_Likely])
        return [_token(one, wanted) for one in found]
    except (msgspec.ValidationError, ValueError):
        not_understood()


def _token(said: _Likely, wanted: int = 0) -> TokenLogprob:
    return TokenLogprob(
        id=said.id,
        data=_data(said.token) if said.bytes is None else bytes(said.bytes),
        logprob=_LEAST if said.logprob is None else said.logprob,
        top=[_token(one) for one in (said.top_logprobs or [])[:wanted]],
    )


def _listed(said: _Listed, wanted: int) -> list[TokenLogprob]:
    if len(said.tokens) != len(said.token_logprobs):
        not_understood()
    tops = said.top_logprobs or [None] * len(said.tokens)
    return [
        _token(_Likely(token, logprob, top_logprobs=_likeliest(top)), wanted)
        for token, logprob, top in zip(said.tokens, said.token_logprobs, tops, strict=False)
    ]


def _likeliest(top: dict[str, float | None] | None) -> list[_Likely]:
    found = [_Likely(token, logprob) for token, logprob in (top or {}).items()]
    return sorted(found, key=lambda one: one.logprob or _LEAST, reverse=True)


def _data(token: str) -> bytes:
    return well_formed(token).encode()
