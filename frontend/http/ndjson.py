"""Newline-delimited JSON: the form in which Ollama's API streams an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from frontend.http.sse import Render
from ipc.messages.errors import ServeError

MEDIA_TYPE = "application/x-ndjson"
# Before an object it means nothing. Clients parse every line, so an empty one would break them.
KEEPALIVE = b" "


def line(data: Any) -> bytes:
    """``data`` as JSON, on a line of its own."""
    return orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE)


class NdjsonForm:
    """A stream of objects, a line each. ``failed`` is what an error is as the last of them."""

    media_type = MEDIA_TYPE.encode("ascii")

    def __init__(self, render: Render, failed: Callable[[ServeError], Any]) -> None:
        self.render = render
        self._failed = failed

    def keepalive(self) -> bytes:
        return KEEPALIVE

    def comment(self, _text: str) -> bytes:
        return b""

    def failure(self, error: ServeError) -> bytes:
        return line(self._failed(error))
