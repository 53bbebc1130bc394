"""Requests that their model has no room for, turned away before anything else is done for them.

Under overload nearly every request ends so, and on a small box what a refusal costs is taken from
the very model that is overloaded. A tenth of the application's way, with its parser, its layers and
its task, is all that is needed for it.

Only the plain case is decided here, and as the application would decide it. Whatever is out of the
ordinary is let in and answered there, so nothing here has to be right about HTTP: what is answered
has no framing but one length, which all of the data that came is in keeping with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson
from starlette.types import Scope

from frontend.dispatch import Dispatcher
from frontend.errors import error_bytes
from frontend.exchange import Exchange
from frontend.guard import Guard
from frontend.record import Record
from ipc.errors import ServeError
from ipc.types import Task

# Larger ones take longer to read than their refusal does.
MAX_HEAD_BYTES = 8 << 10
MAX_BODY_BYTES = 64 << 10
# What `Door.answer` says where the rest of the body has yet to come.
MORE = b""

_TASKS: dict[bytes, Task] = {
    b"/v1/chat/completions": "chat",
    b"/v1/embeddings": "embed",
    b"/v1/rerank": "rerank",
    b"/rerank": "rerank",
}
# No obs-text, no folding, no white space but what is usual: the common part of all readers of HTTP.
_HEAD = re.compile(
    rb"POST (%b) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+: ?[!-~][ -~]*\r\n)+)\r\n" % b"|".join(_TASKS)
)
# Fields that ask for something else than an answer to a body of that length; or, the last, whose
# answer a browser shows to nobody unless more is said in it.
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer", b"origin"})


class Door:
    """Looks at what comes first on a connection. ``guards`` are those that the application has."""

    def __init__(self, dispatcher: Dispatcher, guards: Sequence[Guard], record: Record) -> None:
        self._dispatcher = dispatcher
        self._guards = guards
        self._record = record

    @property
    def crowded(self) -> bool:
        """Whether there is a model that anybody would be turned away from."""
        return self._dispatcher.crowded

    def answer(self, data: bytes) -> bytes | None:
        """The whole answer to a request that is turned away; it has been logged and counted.

        None: let it in. `MORE`: ask again when more of it has come, which may take a while.

        Nothing of the body but the model's name is checked. What is wrong with it a client is told
        that comes again.
        """
        found = _HEAD.match(data, 0, MAX_HEAD_BYTES)
        headers = _headers(found[2]) if found else None
        if found is None or headers is None:
            return None
        length = headers[b"content-length"]
        missing = int(length) - (len(data) - found.end())
        if missing > 0:
            return MORE
        model = _model(data[found.end() :]) if missing == 0 else None
        if model is None or not self._dispatcher.is_full(model, _TASKS[found[1]]):
            return None
        return self._refuse(model, found[1].decode("ascii"), headers)

    def _refuse(self, model: str, path: str, headers: dict[bytes, bytes]) -> bytes | None:
        scope: Scope = {"headers": [*headers.items()]}
        exchange = Exchange.begin(scope)
        try:
            for guard in self._guards:
                guard.check(scope)
        except ServeError:
            return None
        error = self._dispatcher.turn_away(model)
        exchange.names(self._dispatcher.specs[model])
        exchange.status, exchange.error = error.status, error.code
        self._record("POST", path, exchange)
        return error_bytes(error, exchange, close=False)


def _headers(lines: bytes) -> dict[bytes, bytes] | None:
    """The fields of a head by their names in lower case; None where they are not plain."""
    pairs = [line.split(b":", 1) for line in lines.split(b"\r\n")[:-1]]
    fields = {name.lower(): value.strip() for name, value in pairs}
    length = fields.get(b"content-length", b"")
    plain = (
        len(fields) == len(pairs)  # each of them once
        and _UNUSUAL.isdisjoint(fields)
        and b"host" in fields
        and fields.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        and fields.get(b"content-type", b"").partition(b";")[0].lower() == b"application/json"
        and length.isdigit()
        and len(length) <= 5
        and int(length) <= MAX_BODY_BYTES
    )
    return fields if plain else None


def _model(body: bytes) -> str | None:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    model = data.get("model") if isinstance(data, dict) else None
    return model if isinstance(model, str) else None
