"""Objects that a message has whole and as a stream."""

from __future__ import annotations

from typing import Any

from ipc.messages.events import ChatResult, Finish, Usage

_REASONS: dict[Finish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def stop_of(result: ChatResult, *, only_reads: bool = False) -> dict[str, str | None]:
    """Why the message ends. A stop text that ends it within a call comes first: the call is not
    whole."""
    reason = _REASONS["length" if only_reads else result.finish]
    if result.stop_text is not None and not only_reads:
        return {"stop_reason": "stop_sequence", "stop_sequence": result.stop_text}
    return {"stop_reason": reason, "stop_sequence": None}


def usage_object(usage: Usage, *, only_reads: bool = False) -> dict[str, Any]:
    """The counts. Tokens of the prompt that did not have to be read are not among
    `input_tokens`."""
    cached_tokens = usage.cached_tokens or 0
    counts: dict[str, Any] = {
        "input_tokens": usage.prompt_tokens - cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached_tokens,
        "output_tokens": 0 if only_reads else usage.completion_tokens,
    }
    if usage.reasoning_tokens and not only_reads:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counts


def call_block(call_id: str, name: str, given: Any) -> dict[str, Any]:
    """A call, by an id of the form that clients of this API know."""
    own_id = f"toolu_{call_id.removeprefix('call_')}"
    return {"type": "tool_use", "id": own_id, "name": name, "input": given}
