"""Requests of other APIs as chats, where errors name the keys that the client sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frontend.api.openai.chat_request import ChatRequest, parse_chat
from ipc.messages.errors import ServeError


def chat_of(data: Mapping[str, Any], names: Mapping[str, str]) -> ChatRequest:
    """The checked chat that ``data`` is, in the words of `ChatRequest`.

    ``names`` maps those of its keys that the client knows by other names to these. Raises
    `InvalidRequest`, or `UnsupportedParameter`, in the client's words.
    """
    try:
        return parse_chat(data)
    except ServeError as error:
        raise renamed(error, names) from None


def renamed(error: ServeError, names: Mapping[str, str]) -> ServeError:
    """``error`` with the keys of ``names`` told by their other names."""
    if error.param is None:
        return error
    key = _first_key(error.param)
    if key not in names:
        return error
    param = names[key] + error.param[len(key) :]
    message = error.message.replace(f"`{error.param}`", f"`{param}`")
    return type(error)(message, param=param, retry_after_s=error.retry_after_s)


def _first_key(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]
