"""The texts of a request, within this server's limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, Tag

from frontend.api.fields import AtMost, Batch, OneOf, ServerText, Token


def _no_tokens(given: object) -> object:
    if isinstance(given, list) and given and isinstance(given[0], int | list):
        raise ValueError(
            "must be text: token ids mean something else to each model. With LangChain's "
            "OpenAIEmbeddings, set check_embedding_ctx_length=False"
        )
    return given


def _texts_or_tokens(given: object) -> str | None:
    if isinstance(given, str):
        return "<text>"
    if not isinstance(given, list):
        return None
    if given and isinstance(given[0], list):
        return "<many>"
    return "<tokens>" if given and isinstance(given[0], int | float) else "<texts>"


NoTokens = BeforeValidator(_no_tokens)
# Tells a ``<text>``, ``<texts>``, ``<tokens>`` and ``<many>`` of them apart.
TEXTS_OR_TOKENS = OneOf(
    _texts_or_tokens, "must be a string, an array of token ids, or an array of either"
)
# A token is a character at least, so they are bounded as those are.
TokenIds = Annotated[list[Token], Field(min_length=1), AtMost("max_text_chars", "items")]
TextsOrTokens = Annotated[
    Annotated[ServerText, Tag("<text>")]
    | Annotated[list[ServerText], Field(min_length=1), Batch, Tag("<texts>")]
    | Annotated[TokenIds, Tag("<tokens>")]
    | Annotated[list[TokenIds], Field(min_length=1), Batch, Tag("<many>")],
    TEXTS_OR_TOKENS,
]


def texts_and_tokens(given: TextsOrTokens) -> tuple[list[str], list[list[int]]]:
    """Several of either, where one was given too; one of the two is empty."""
    if isinstance(given, str):
        return [given], []
    if isinstance(given[0], int):
        return [], [given]
    if isinstance(given[0], str):
        return given, []
    return [], given
