"""How tokens are to be picked, in the words of OpenAI-compatible servers. No sockets in here.

What has its neutral value is left out, for servers that do not know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ipc.messages.errors import UnsupportedParameter
from ipc.messages.jobs import Sampling

# llama.cpp's penalties see 64 tokens if not told. It takes no -1 any more, and makes room for as
# many as it is told.
_ALL_TOKENS = 1 << 17


def sampling_keys(sampling: Sampling) -> dict[str, Any]:
    """All of ``sampling`` but `logprobs`, which has two forms; streamed."""
    return {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
        **_optional(sampling),
    }


def refuse_skipped(body: Mapping[str, Any], skipped: Iterable[str]) -> None:
    """Raise `UnsupportedParameter` for what of ``body`` the server would skip in silence."""
    for name in skipped:
        if name in body:
            raise UnsupportedParameter(
                f"`{name}` is not supported by the server behind this model; leave it out",
                param=name,
            )


def _optional(sampling: Sampling) -> dict[str, Any]:
    """What of ``sampling`` asks for something, by its usual names."""
    named = {
        "stop": sampling.stop,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "ignore_eos": sampling.ignore_eos,
        "min_tokens": sampling.min_tokens,
        "stop_token_ids": sampling.stop_token_ids,
        "logit_bias": {str(token): bias for token, bias in sampling.logit_bias.items()},
    }
    found = {name: value for name, value in named.items() if value}
    if sampling.n > 1:
        found["n"] = sampling.n
    if sampling.seed is not None:
        found["seed"] = sampling.seed
    if sampling.repetition_penalty != 1:
        # vLLM's and SGLang's name, and llama.cpp's.
        penalty = sampling.repetition_penalty
        found |= {"repetition_penalty": penalty, "repeat_penalty": penalty}
    if found.keys() & {"repetition_penalty", "presence_penalty", "frequency_penalty"}:
        found["repeat_last_n"] = _ALL_TOKENS
    return found
