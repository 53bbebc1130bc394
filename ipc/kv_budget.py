"""How many tokens the cache of keys and values is to hold, where memory is used as it is filled.

A prompt may be as long as the model can read, up to all of the cache. The cache is bounded by
what chats usually take, since contexts of today's models are far longer than most chats and a box
has not the memory to keep one of them for each.
"""

from __future__ import annotations

from ipc.messages.spec import Spec

# Few answers use up the whole context: a slot's share of the cache is at most so much.
SLOT_TOKENS = 2048
# For a prompt of so many tokens and its answer there is room in any case.
USUAL_PROMPT_TOKENS = 4096


def longest_tokens(spec: Spec, context_tokens: int | None) -> int:
    """How long one prompt and its answer may be together, for a model with this context."""
    if not spec.max_prompt_tokens:
        return context_tokens or USUAL_PROMPT_TOKENS + spec.max_new_tokens
    allowed = spec.max_prompt_tokens + spec.max_new_tokens
    return min(allowed, context_tokens) if context_tokens else allowed


def sure_tokens(spec: Spec, longest: int) -> int:
    """How long one prompt and its answer may be in any case: ``longest`` where the model's entry
    says how long prompts may be."""
    if spec.max_prompt_tokens:
        return longest
    return min(longest, USUAL_PROMPT_TOKENS + spec.max_new_tokens)


def kv_cache_tokens(spec: Spec, longest: int, wanted: int) -> int:
    """For all requests together: ``wanted``, or, where that is 0, a share for each slot and what
    there must be room for in any case."""
    return wanted or max(sure_tokens(spec, longest), spec.slots * min(longest, SLOT_TOKENS))
