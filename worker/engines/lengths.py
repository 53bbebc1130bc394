"""What chat engines say of messages that are too long."""

from __future__ import annotations

from ipc.errors import ContextTooLong


def too_long(tokens: int | str, limit: int) -> ContextTooLong:
    """There are more ``tokens``, or "at least" so many, than a prompt may have."""
    return ContextTooLong(
        f"the messages have {tokens} tokens and this model takes at most {limit}; shorten them",
        param="messages",
    )


def no_room(tokens: int | str, context_tokens: int) -> ContextTooLong:
    """The prompt may be that long, but takes up all that it has together with its answer."""
    return ContextTooLong(
        f"the messages have {tokens} tokens, which leaves no room for an answer in the model's "
        f"context of {context_tokens}; shorten them",
        param="messages",
    )
