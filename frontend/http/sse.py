"""Server-sent events: the form in which most APIs stream an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from ipc.messages.errors import ServeError
from ipc.messages.events import Done, Piece

# What a batch of events looks like on the wire; a batch may come to nothing.
Render = Callable[[list[Piece | Done]], bytes]

DONE = b"data: [DONE]\n\n"
# A comment line: clients skip it, proxies see traffic.
KEEPALIVE = b": keep-alive\n\n"
# Stands for the text of an event. Nothing else in it can be the same: names and ids are printable,
# and JSON would escape it.
_HOLE = "\x00"


def event(data: Any) -> bytes:
    """One event with ``data`` as JSON."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def comment(text: str) -> bytes:
    """What clients skip."""
    return f": {text}\n\n".encode()


def around_text(rendered: Callable[[str], bytes]) -> tuple[bytes, bytes]:
    """What of an event stands before a text in it, and what after: so that of many events which
    differ in the text alone no more has to be rendered."""
    before, _, after = rendered(_HOLE).partition(orjson.dumps(_HOLE))
    return before, after


def named_event(name: str, data: Any) -> bytes:
    """One event that also says of which kind it is, for clients that look there."""
    return b"event: " + name.encode("ascii") + b"\n" + event(data)


class SseForm:
    """A stream of server-sent events as in OpenAI's API. One that fails has no end marker: the
    official SDK takes a bare end of file for success."""

    media_type = b"text/event-stream; charset=utf-8"

    def __init__(self, render: Render) -> None:
        self.render = render

    def keepalive(self) -> bytes:
        return KEEPALIVE

    def comment(self, text: str) -> bytes:
        return comment(text)

    def failure(self, error: ServeError) -> bytes:
        return event(error.body())
