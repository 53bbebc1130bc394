"""How servers say that an answer has ended. No sockets in here."""

from __future__ import annotations

from typing import Any

from ipc.messages.errors import InternalError, ServeError, Unavailable
from ipc.messages.events import Finish
from worker.engines.common.server_errors import one_line

MAX_REASON_CHARS = 40

# How servers spell the same few ends, in lower case: OpenAI, vLLM, SGLang, TGI, llama.cpp, Ollama,
# Mistral, Anthropic, Gemini, Cohere, Bedrock, Zhipu.
_FINISHES: dict[str, Finish] = {
    **dict.fromkeys(
        ("stop", "eos", "eos_token", "end_turn", "end", "stop_sequence", "stop_token", "complete",
         "completed", "word"),
        "stop",
    ),
    **dict.fromkeys(
        ("length", "limit", "max_tokens", "max_output_tokens", "max_new_tokens", "max_length",
         "model_length", "model_context_window_exceeded"),
        "length",
    ),
    **dict.fromkeys(
        ("content_filter", "content_filtered", "safety", "recitation", "blocklist",
         "prohibited_content", "spii", "language", "refusal", "sensitive", "error_toxic",
         "guardrail_intervened"),
        "content_filter",
    ),
    # Whether there are calls is seen in them.
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "stop"),
}  # fmt: skip
# Ends that say nothing about the request: the same one may go well.
_PASSING = frozenset({
    "abort", "aborted", "cancelled", "canceled", "insufficient_system_resource", "load",
    "network_error", "timeout", "unload",
})  # fmt: skip


def end_of(reason: Any) -> Finish:
    """What ``reason`` means. Raises the `ServeError` of an end that is none."""
    if known := _FINISHES.get(str(reason).lower()):
        return known
    raise _failed(str(reason))


def _failed(reason: str) -> ServeError:
    name, shown = reason.lower(), one_line(reason, MAX_REASON_CHARS)
    if name in _PASSING:
        return Unavailable(f"the upstream ended its answer early ({shown})", retry_after_s=1.0)
    if name.startswith("error"):
        return InternalError("the upstream failed in the middle of its answer")
    return InternalError(
        f"the upstream ended its answer with the reason {shown!r}, which is not known here: it may "
        "not be whole"
    )
