"""How many tokens the cache of keys and values is to hold, where memory is used as it is filled."""

from __future__ import annotations

from ipc.messages.spec import Spec

# Few answers use up the whole context: a slot's share of the cache is at most so much.
SLOT_TOKENS = 2048


def longest_tokens(spec: Spec, context_tokens: int | None) -> int:
    """How long one prompt and its answer may be together, for a model with this context."""
    allowed = spec.max_prompt_tokens + spec.max_new_tokens
    return min(allowed, context_tokens) if context_tokens else allowed


def kv_cache_tokens(spec: Spec, longest: int, wanted: int) -> int:
    """For all requests together: ``wanted``, or, where that is 0, a share for each slot and enough
    for the ``longest``."""
    return wanted or max(longest, spec.slots * min(longest, SLOT_TOKENS))
