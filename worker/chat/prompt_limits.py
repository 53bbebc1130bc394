"""What chat engines say of messages that are too long.

Clients that cut a history and ask again know the case by words alone, since OpenAI's SDK keeps
nothing else in the text of its errors: litellm by the first sentence, which is OpenAI's own,
langchain-openai by the last, one half of it in streams.
tests/unit/worker/chat/test_prompt_limits.py has what they look for.
"""

from __future__ import annotations

from typing import Any

from ipc.messages.errors import ContextTooLong

_FIRST_WORDS = "This model's maximum context length is"
_LAST_WORDS = "The prompt is too long: it exceeds the context window."


def room_for_answer(prompt_tokens: int, max_prompt_tokens: int, context_tokens: int) -> int:
    """How many tokens the answer to a prompt may have, at least one: ``context_tokens`` are for
    both together, and ``max_prompt_tokens``, unless that is 0, for the prompt. Raises
    `ContextTooLong`."""
    if 0 < max_prompt_tokens < prompt_tokens:
        raise too_long(prompt_tokens, max_prompt_tokens)
    if prompt_tokens >= context_tokens:
        raise no_room(prompt_tokens, context_tokens)
    return context_tokens - prompt_tokens


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
        f"{_FIRST_WORDS} {limit} tokens. However, {what}. "
        f"Please reduce the length of the messages. {_LAST_WORDS}",
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
    if _LAST_WORDS not in message:
        message = f"{message} {_LAST_WORDS}"
    return ContextTooLong(message, param=param)
