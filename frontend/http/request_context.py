"""One request and its answer, as the log and the metrics see them."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs

from starlette.types import Scope

from frontend.dispatch.budget import Budget, Claim
from frontend.dispatch.estimates.shape import Shape
from frontend.dispatch.stream import Stream
from frontend.dispatch.terms import Terms, priority_of
from frontend.quotas.allowance import Allowance
from ipc.loopback import is_loopback
from ipc.messages.errors import ServeError
from ipc.messages.events import Usage
from ipc.messages.jobs import Task
from ipc.messages.spec import Spec

# Safe in a header and in a log line, and short enough to repeat on each of them.
# For those who hold nothing: refusals in place of an application.
_NOTHING = Budget(0)
# What an error with its request's id is as JSON, in some API.
ErrorForm = Callable[[ServeError, str], Any]
_REQUEST_ID = re.compile(rb"[!-~]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f-]{55,128}")
_PRIORITY = re.compile(rb"[+-]?[0-9]{1,9}")
# What proxies say of the request that they pass on. nginx says nothing by itself, but speaks
# HTTP/1.0, which no client of ours does.
_PASSED_ON = frozenset(
    {
        *(b"forwarded", b"via", b"x-real-ip"),
        *(b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
    }
)


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: the name of a key, else an address. ``weight`` is what it counts among others that
    wait, ``priority`` that of its requests that name none. An ``admin`` may manage the server."""

    name: str
    weight: float = 1.0
    priority: int = 0
    admin: bool = False


def openai_form(error: ServeError, _request_id: str) -> Any:
    return error.body()


class RequestContext:
    """What is known so far; whoever learns something writes it here.

    ``status`` is the outcome: a stream that failed after its headers went out counts as that
    failure, a client that left as 499. ``model`` is only ever a configured name, so it is safe as
    a metrics label. ``error_form`` is how the API of the path tells errors. ``key`` is the name of
    the API key, for the log, ``by_cookie`` whether that was not sent, but a cookie for it;
    ``client`` is who asks, with a key or without; ``allowance`` is what it takes of what its key
    may have; ``claim`` is the memory that the request holds. ``priority``, ``keep_alive_s`` and
    ``autoload`` are what it asks for, see `Terms`. One in the ``background`` is a line of a batch:
    no client waits for it. ``shape`` is that of its job, and one that ``streams`` has its answer
    written as it is made. ``traceparent`` is what its caller says of its own trace, where that is
    heard. ``heard_s`` is the sound of the turns that a live session has heard. ``work_s`` is for
    how long its job may be worked on, where that is its own, ``written`` what
    another server has written of its answer. ``acted_on`` is what an operator does
    something to, in his own words; one that ``only_asks`` what that would do changes nothing.
    """

    __slots__ = (
        "acted_on",
        "allowance",
        "autoload",
        "background",
        "by_cookie",
        "claim",
        "client",
        "error",
        "error_form",
        "heard_s",
        "keep_alive_s",
        "key",
        "method",
        "model",
        "only_asks",
        "path",
        "priority",
        "request_id",
        "shape",
        "started_at",
        "status",
        "stream",
        "streams",
        "task",
        "traceparent",
        "usage",
        "work_s",
        "written",
    )

    def __init__(self, request_id: str | None = None, budget: Budget = _NOTHING) -> None:
        self.request_id = request_id or f"req_{random.getrandbits(128):032x}"
        self.claim: Claim = budget.open()
        self.started_at = time.monotonic()
        self.method = self.path = ""
        self.status = 0
        self.background = False
        self.by_cookie = False
        self.client = Client("")
        self.priority: int | None = None
        self.keep_alive_s: float | None = None
        self.autoload = True
        self.acted_on: str | None = None
        self.only_asks = False
        self.error: str | None = None
        self.error_form: ErrorForm = openai_form
        self.key: str | None = None
        self.allowance: Allowance | None = None
        self.model: str | None = None
        self.task: Task | None = None
        self.stream: Stream | None = None
        self.streams = False
        self.traceparent: str | None = None
        self.shape: Shape | None = None
        self.usage: Usage | None = None
        self.heard_s = 0.0
        self.work_s: float | None = None
        self.written: Mapping[int, Sequence[int]] | None = None

    @classmethod
    def begin(cls, scope: Scope, budget: Budget = _NOTHING) -> RequestContext:
        """A new record for ``scope``, under the request id that the client gave if it is sane.

        Whoever begins one releases its ``claim``.
        """
        context = cls(_header(scope, b"x-request-id", _REQUEST_ID), budget)
        context.method, context.path = scope.get("method", ""), scope.get("path", "")
        if (line := scope.get("background")) is not None:  # see `frontend.batches.calls`
            context.background, context.key = True, line["key"]
        if (peer := scope.get("client")) is not None:
            # Without keys, whoever is on this machine is its operator, but not whoever has a
            # request passed on by a proxy there.
            is_here = is_loopback(peer[0]) and not is_forwarded(scope)
            context.client = Client(peer[0], admin=is_here)
        if (priority := _header(scope, b"x-priority", _PRIORITY)) is not None:
            context.asks_priority(int(priority))
        context.autoload = _wants_autoload(scope)
        scope["context"] = context
        return context

    def hears_parent(self, scope: Scope) -> None:
        """Its caller is believed to which trace it belongs."""
        self.traceparent = _header(scope, b"traceparent", _TRACEPARENT)

    @staticmethod
    def of(scope: Scope) -> RequestContext:
        """The record of the request that ``scope`` belongs to."""
        return cast(RequestContext, scope["context"])

    @property
    def terms(self) -> Terms:
        """Under what terms its jobs wait. A client may put its own requests in order, and any of
        them behind others'. Who goes before others, operators say, by their keys."""
        client = self.client
        priority = client.priority if self.priority is None else self.priority
        return Terms(
            client=client.name,
            weight=client.weight,
            priority=priority,
            precedence=priority if client.admin else min(priority, client.priority),
            keep_alive_s=self.keep_alive_s,
            background=self.background,
            autoload=self.autoload,
            work_s=self.work_s,
            written=self.written,
        )

    @property
    def load_s(self) -> float:
        """How long its job has waited for a model that was not loaded."""
        return self.stream.load_s if self.stream is not None else 0.0

    def keeps(self, seconds: float | None, most_s: float) -> None:
        """The client wants the model kept for so long without work, a negative number being for
        ever, None as is set for it. Only an admin may have it kept for longer than ``most_s``."""
        if seconds is not None and not self.client.admin:
            seconds = min(seconds, most_s) if seconds >= 0 else most_s
        self.keep_alive_s = seconds

    def asks_priority(self, asked: int) -> None:
        """It asks for a priority, in vLLM's words: the lower comes first."""
        self.priority = priority_of(asked)

    def names(self, spec: Spec) -> None:
        """The request has turned out to be for this model."""
        self.model, self.task = spec.name, spec.task


def is_forwarded(scope: Scope) -> bool:
    """Whether a proxy has passed the request on, so that its peer is not who asks."""
    if scope.get("http_version") == "1.0":
        return True
    return any(name in _PASSED_ON for name, _ in scope["headers"])


def _wants_autoload(scope: Scope) -> bool:
    """Whether its model may be loaded for it: ``autoload=false`` in a query, as llama.cpp has it,
    says no."""
    query = scope.get("query_string", b"")
    if b"autoload" not in query:
        return True
    return parse_qs(query.decode("latin-1")).get("autoload", ["true"])[0] in ("true", "1")


def _header(scope: Scope, wanted: bytes, form: re.Pattern[bytes]) -> str | None:
    """The first of these headers that has this form; others are no reason to refuse a request."""
    for name, value in scope["headers"]:
        if name == wanted and form.fullmatch(value):
            return cast(bytes, value).decode("ascii")
    return None
