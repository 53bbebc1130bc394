"""Objects that a chat answer has in both of its shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ipc.messages.events import Finish, TokenLogprob, Usage

# What stands for a token that cannot be: JSON has no infinity.
_NEVER = -9999.0


class Shape(NamedTuple):
    """What the request and its model have to say of the answer's shape: whether the model
    ``reasons``, whether that is shown, and whether a call was asked for by name: that is no choice
    of the model's, and ends with `stop` as OpenAI's does. A stream that ``names_tokens`` has their
    ids beside what they say."""

    reasons: bool = False
    shows_reasoning: bool = True
    names_call: bool = False
    names_tokens: bool = False

    def finish(self, finish: Finish) -> Finish:
        return "stop" if self.names_call and finish == "tool_calls" else finish


PLAIN = Shape()


def usage_object(usage: Usage, *, reasons: bool = False) -> dict[str, Any]:
    """The counts; reasoning has its own where there is any, and always where the model
    ``reasons``."""
    counts: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
    if usage.cached_tokens is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens or reasons:
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
        "logprob": finite(token.logprob),
        "bytes": [*token.data],
    }


def finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else _NEVER
