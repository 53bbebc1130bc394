"""The texts of a request, within this server's limits."""

from __future__ import annotations

from typing import Any

from ipc.messages.control import Serve
from ipc.messages.errors import InvalidRequest


def checked_texts(given: object, path: str, limits: Serve) -> list[str]:
    """The texts of ``given``, one or several. Raises `InvalidRequest` naming ``path``."""
    if isinstance(given, str):
        return [checked_text(given, path, limits)]
    if not isinstance(given, list):
        raise InvalidRequest(f"`{path}` must be a string or an array of strings", param=path)
    if given and isinstance(given[0], int | list):
        raise InvalidRequest(
            f"`{path}` must be text: token ids mean something else to each model. With LangChain's "
            "OpenAIEmbeddings, set check_embedding_ctx_length=False",
            param=path,
        )
    check_count(given, path, limits)
    return [checked_text(text, f"{path}[{at}]", limits) for at, text in enumerate(given)]


def check_count(given: list[Any], path: str, limits: Serve) -> None:
    """Raise `InvalidRequest` naming ``path`` where there is nothing in ``given``, or too much."""
    if not given:
        raise InvalidRequest(f"`{path}` must have at least 1 item", param=path)
    if len(given) > limits.max_batch_size:
        raise InvalidRequest(
            f"`{path}` must have at most {limits.max_batch_size} items, this server's "
            f"MAX_BATCH_SIZE, and has {len(given)}",
            param=path,
        )


def checked_text(given: object, path: str, limits: Serve) -> str:
    """``given`` if it is a text that can be served. Raises `InvalidRequest` naming ``path``.

    It may be empty, and may hold NUL characters as texts taken from PDF files do: one odd piece is
    no reason to refuse a document of hundreds.
    """
    if not isinstance(given, str):
        raise InvalidRequest(f"`{path}` must be a string", param=path)
    if len(given) > limits.max_text_chars:
        raise InvalidRequest(
            f"`{path}` must have at most {limits.max_text_chars} characters, this server's "
            f"MAX_TEXT_CHARS, and has {len(given)}",
            param=path,
        )
    return given
