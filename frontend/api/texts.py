"""The texts of a request, within this server's limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, Tag

from frontend.api.fields import Batch, ServerText, text_or

_RULE = "must be a string or an array of strings"


def _no_tokens(given: object) -> object:
    if isinstance(given, list) and given and isinstance(given[0], int | list):
        raise ValueError(
            "must be text: token ids mean something else to each model. With LangChain's "
            "OpenAIEmbeddings, set check_embedding_ctx_length=False"
        )
    return given


NoTokens = BeforeValidator(_no_tokens)
Texts = Annotated[
    Annotated[ServerText, Tag("<text>")]
    | Annotated[list[ServerText], Field(min_length=1), Batch, NoTokens, Tag("<texts>")],
    text_or("<texts>", list, _RULE),
]
