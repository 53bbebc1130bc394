"""Requests that their model has no room for, turned away before anything else is done for them.

Under overload nearly every request ends so, and on a small box what a refusal costs is taken from
the very model that is overloaded. A tenth of the application's way, with its parser, its layers and
its task, is all that is needed for it.

Only the plain case is decided here, and as the application would decide it: a head that passes
`frontend.listener.request_head` in any case, and has no framing but one length, which all of the
data that came is in keeping with. Whatever is out of the ordinary is let in and answered there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import orjson
from starlette.types import Scope

from frontend.access_log import Record
from frontend.api.rerank.request import RERANK_PATHS
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.access import Guard
from frontend.http.errors import Field, error_bytes
from frontend.http.request_context import Exchange
from frontend.listener.request_head import HOST
from ipc.messages.errors import Cancelled, ServeError
from ipc.messages.jobs import Task
from ipc.messages.spec import Spec

# Larger ones take longer to read than their refusal does.
MAX_HEAD_BYTES = 8 << 10
MAX_BODY_BYTES = 64 << 10
MAX_FIELDS = 64

_TASKS: dict[bytes, Task] = {
    b"/v1/chat/completions": "chat",
    b"/v1/embeddings": "embed",
    **{path.encode(): "rerank" for path in RERANK_PATHS},
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
    def over_capacity(self) -> bool:
        """Whether there is a model that anybody would be turned away from."""
        return self._dispatcher.over_capacity

    def answer(self, data: bytes, fields: Iterable[Field] = ()) -> bytes | int | None:
        """The whole answer to a request that is turned away, with ``fields`` beside its own; it has
        been logged and counted.

        None: let it in. A number: ask again when the request has come to so many bytes.

        Nothing of the body but the model's name is checked. What is wrong with it a client is told
        that comes again.
        """
        found = _HEAD.match(data, 0, MAX_HEAD_BYTES)
        headers = _headers(found[2]) if found else None
        if found is None or headers is None:
            return None
        whole = found.end() + int(headers[b"content-length"])
        if len(data) < whole:
            return whole
        model = _model(data[found.end() :]) if len(data) == whole else None
        if model is None or not self._dispatcher.is_full(model, _TASKS[found[1]]):
            return None
        spec = self._dispatcher.called(model)
        return self._refuse(spec, found[1].decode("ascii"), headers, fields) if spec else None

    def left(self, data: bytes) -> None:
        """The client of a request that had come so far has gone."""
        if (found := _HEAD.match(data)) is not None and (headers := _headers(found[2])):
            exchange = Exchange.begin({"headers": [*headers.items()]})
            exchange.status, exchange.error = Cancelled.status, Cancelled.code
            self._record("POST", found[1].decode("ascii"), exchange)

    def _refuse(
        self, spec: Spec, path: str, headers: dict[bytes, bytes], fields: Iterable[Field]
    ) -> bytes | None:
        scope: Scope = {"headers": [*headers.items()]}
        exchange = Exchange.begin(scope)
        try:
            for guard in self._guards:
                guard.check(scope)
        except ServeError:
            return None
        error = self._dispatcher.reject(spec)
        exchange.names(spec)
        exchange.status, exchange.error = error.status, error.code
        self._record("POST", path, exchange)
        return error_bytes(error, exchange, fields, close=False)


def _headers(lines: bytes) -> dict[bytes, bytes] | None:
    """The fields of a head by their names in lower case; None where they are not plain."""
    pairs = [line.split(b":", 1) for line in lines.split(b"\r\n")[:-1]]
    fields = {name.lower(): value.strip() for name, value in pairs}
    length = fields.get(b"content-length", b"")
    plain = (
        len(fields) == len(pairs) <= MAX_FIELDS  # each of them once
        and _UNUSUAL.isdisjoint(fields)
        and HOST.fullmatch(fields.get(b"host", b""))
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
