"""What chat engines say of messages that are too long.

Clients that cut a history and ask again know the case by words alone: litellm's
`ExceptionCheckers.is_error_str_context_window_exceeded` by the first sentence, as OpenAI's server
has it, langchain-openai by the code. tests/unit/test_lengths.py has what they look for.
"""

from __future__ import annotations

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
