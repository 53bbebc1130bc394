"""Objects that a chat answer has in both of its shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ipc.messages.events import TokenLogprob, Usage

# What stands for a token that cannot be: JSON has no infinity.
_NEVER = -9999.0


def usage_object(usage: Usage) -> dict[str, Any]:
    """The counts; reasoning has its own where there is any."""
    counts: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
    if usage.reasoning_tokens:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return counts


def logprobs_object(logprobs: Sequence[TokenLogprob] | None) -> dict[str, Any] | None:
    """``logprobs`` of a choice: null unless they were asked for."""
    if logprobs is None:
        return None
    content = [_likely(one) | {"top_logprobs": [*map(_likely, one.top)]} for one in logprobs]
    return {"content": content, "refusal": None}


def _likely(token: TokenLogprob) -> dict[str, Any]:
    """``bytes`` are the token's own: a part of a character has no text, but it has these."""
    return {
        "token": token.data.decode(errors="replace"),
        "logprob": token.logprob if math.isfinite(token.logprob) else _NEVER,
        "bytes": [*token.data],
    }
