"""A request as llama.cpp's server takes it."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from ipc.grammar.gbnf import to_gbnf
from ipc.grammar.rules import Rules
from ipc.messages.jobs import Sampling
from worker.chat.grammar import AnyText, Grammar
from worker.chat.token_engine import TokenRequest

_SEEDS = 2**32 - 1  # the last one of 32 bits stands for none


def request_body(request: TokenRequest, context_tokens: int, *, prefix_caching: bool) -> bytes:
    """``request`` with nothing left to the server's own defaults.

    Its penalties look at the prompt's tokens too, not only at those of the answer.
    """
    sampling = request.sampling
    body: dict[str, Any] = {
        "prompt": dict(request.prompt.images) or request.prompt.tokens,
        "max_tokens": request.limit,
        **_picked(sampling),
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repeat_penalty": sampling.repetition_penalty,
        "repeat_last_n": context_tokens,
        "ignore_eos": sampling.ignore_eos,
        "cache_prompt": prefix_caching,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "timings_per_token": True,
        "verbose": True,  # each piece then names its last token
    }
    if request.preserved:
        body["preserved_tokens"] = sorted(request.preserved)
    return msgspec.json.encode(body | _asked_for(sampling) | _grammar(request.grammar))


def _picked(sampling: Sampling) -> dict[str, Any]:
    """How a token is picked. Each sampler looks at all that those before have left, which is the
    whole vocabulary at first: so what leaves least comes first, where the order changes nothing.
    """
    if sampling.temperature <= 0:
        return {"samplers": ["penalties", "top_k"], "top_k": 1}
    return {
        "samplers": ["penalties", "top_k", "temperature", "top_p", "min_p"],
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
    }


def _asked_for(sampling: Sampling) -> dict[str, Any]:
    """What costs something, and so is there only where it was asked for."""
    body: dict[str, Any] = {}
    if sampling.seed is not None:
        body["seed"] = sampling.seed % _SEEDS
    if sampling.logit_bias:
        body["logit_bias"] = [[token, bias] for token, bias in sampling.logit_bias.items()]
    if sampling.logprobs is not None:
        body["n_probs"] = max(1, sampling.logprobs)
    return body


def _grammar(grammar: Grammar) -> dict[str, str]:
    match grammar:
        case AnyText():
            return {}
        case Rules():
            return {"grammar": to_gbnf(grammar)}
        case _:
            assert_never(grammar)
