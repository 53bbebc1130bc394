"""Texts that are longer than their model takes: cut, or refused with what would help."""

from __future__ import annotations

from tokenizers import Tokenizer

from ipc.messages.errors import ContextTooLong, InvalidRequest
from ipc.messages.jobs import Truncation

# Below so many tokens a model takes less than the paragraph or the page that clients cut documents
# into, and refusing would fail the whole document.
SHORT_TOKENS = 512


def cuts_by_default(option: bool | None, max_tokens: int) -> bool:
    """The option ``truncate``, which is on for short models unless it is given."""
    return max_tokens < SHORT_TOKENS if option is None else option


def cut_length(asked: Truncation, default: bool, max_tokens: int) -> int | None:
    """How many tokens longer texts are cut to; None: they are refused. Raises `InvalidRequest`."""
    if asked.tokens is not None and asked.tokens > max_tokens:
        raise InvalidRequest(
            f"`truncate_prompt_tokens` is {asked.tokens}, and this model takes at most "
            f"{max_tokens} tokens; send at most that, or -1",
            param="truncate_prompt_tokens",
        )
    if not (default if asked.cut is None else asked.cut):
        return None
    return max_tokens if asked.tokens is None else asked.tokens


def set_truncation(tokenizer: Tokenizer, tokens: int | None, side: str, *, pairs: bool) -> None:
    """Have ``tokenizer`` cut to ``tokens``, of pairs the longer text first, or not at all. Raises
    `InvalidRequest` where so few leave no room for a text."""
    if tokens is None:
        tokenizer.no_truncation()
        return
    special = tokenizer.num_special_tokens_to_add(pairs)
    if tokens <= special:
        raise InvalidRequest(
            f"`truncate_prompt_tokens` must be at least {special + 1} for this model, whose own "
            f"tokens around a text are {special}",
            param="truncate_prompt_tokens",
        )
    tokenizer.enable_truncation(tokens, strategy="longest_first", direction=side)


def clipped(text: str, characters: int, side: str) -> str:
    """``text`` down to so many characters, before the tokenizer looks at all of it."""
    return text[-characters:] if side == "left" else text[:characters]


def too_long(what: str, max_tokens: int, param: str) -> ContextTooLong:
    """``what`` says which text has how many tokens. Clients know a text that is too long by the
    first sentence."""
    return ContextTooLong(
        f"This model's maximum context length is {max_tokens} tokens. However, {what}. Please "
        "shorten or split it, or send `truncate: true` to have it cut.",
        param=param,
    )
