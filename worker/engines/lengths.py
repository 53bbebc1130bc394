"""What chat engines say of messages that are too long.

Clients that cut a history and ask again know the case by words alone: litellm's
`ExceptionCheckers.is_error_str_context_window_exceeded` by the first sentence, as OpenAI's server
has it, langchain-openai by the code. tests/unit/test_lengths.py has what they look for.
"""

from __future__ import annotations

from typing import Any

from ipc.errors import ContextTooLong


def too_long(tokens: int | str, limit: int) -> ContextTooLong:
    """There are more ``tokens``, or "at least" so many, than a prompt may have."""
    return _refusal(limit, f"your messages have {tokens} tokens")


def no_room(tokens: int | str, context_tokens: int) -> ContextTooLong:
    """The prompt may be that long, but takes up all that it has together with its answer."""
    return _refusal(
        context_tokens, f"your messages have {tokens} tokens, which leaves no room for an answer"
    )


def _refusal(limit: int, what: str) -> ContextTooLong:
    return ContextTooLong(
        f"This model's maximum context length is {limit} tokens. However, {what}. "
        "Please reduce the length of the messages.",
        param="messages",
    )


# What servers say of it: vLLM and OpenAI, SGLang, TGI, llama-server, Gemini, Anthropic.
_SAID = (
    "maximum context length",
    "longer than the model's context length",
    "`inputs` tokens + `max_new_tokens` must be",
    "exceeds the available context size",
    "exceeds the maximum number of tokens allowed",
    "prompt is too long",
)
_FIRST_WORDS = "This model's maximum context length is"


def says_too_long(message: str) -> bool:
    """Whether another server's refusal is of this kind."""
    return any(words in message.lower() for words in _SAID)


def upstream_too_long(said: Any, message: str, param: str | None) -> ContextTooLong:
    """Another server's refusal, ``said`` in an error object with this ``message``, in words that
    clients know."""
    tokens, limit = (
        said.get(key) if isinstance(said, dict) else None for key in ("n_prompt_tokens", "n_ctx")
    )
    if isinstance(tokens, int) and isinstance(limit, int):  # llama-server's
        return too_long(tokens, limit)
    if _FIRST_WORDS.lower() not in message.lower():
        message = f"{_FIRST_WORDS} exceeded: {message}"
    return ContextTooLong(message, param=param)
