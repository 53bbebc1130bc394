"""Requests of other APIs as chats, where errors name the keys that the client sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from frontend.api.openai.chat_request import ChatRequest, parse_chat
from ipc.messages.errors import ServeError

# How messages quote a place in a request.
_QUOTED = re.compile("`([^`]+)`")


def chat_of(data: Mapping[str, Any], names: Mapping[str, str]) -> ChatRequest:
    """The checked chat that ``data`` is, in the words of `ChatRequest`.

    ``names`` maps those of its places that the client knows by other names to these. Raises
    `InvalidRequest`, or `UnsupportedParameter`, in the client's words.
    """
    with told_by(names):
        return parse_chat(data)


@contextmanager
def told_by(names: Mapping[str, str]) -> Iterator[None]:
    """Errors that are raised within tell places by ``names``, as `renamed` does."""
    try:
        yield
    except ServeError as error:
        raise renamed(error, names) from None


def renamed(error: ServeError, names: Mapping[str, str]) -> ServeError:
    """``error`` with places told by their other names: of those in ``names``, such as `messages` or
    `messages[2].content`, the longest that a place begins with counts."""
    if error.param is None:
        return error
    message = _QUOTED.sub(lambda found: f"`{_renamed(found[1], names)}`", error.message)
    param = _renamed(error.param, names)
    return type(error)(message, param=param, retry_after_s=error.retry_after_s)


def _renamed(path: str, names: Mapping[str, str]) -> str:
    begins = [name for name in names if _begins(path, name)]
    longest = max(begins, key=len, default="")
    return names[longest] + path[len(longest) :] if longest else path


def _begins(path: str, name: str) -> bool:
    return path.startswith(name) and path[len(name) : len(name) + 1] in ("", ".", "[")
