"""The requests that this server works on and the last that it has ended, for whoever runs it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from frontend.dispatch.stream import Stream
from frontend.http.request_context import RequestContext
from frontend.http.waiting import waiting_of
from ipc.messages.errors import NotFound, ServeError
from ipc.messages.events import Usage

KEPT = 1000
# Whoever was not let in has asked nothing; many of them would push out all others.
_NOT_LET_IN = frozenset({401, 403})

# A request that is received is read and checked; one that runs has not said anything yet.
Stage = Literal["received", "waiting", "running", "answering", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """What is known of one request; never what it says. Seconds are counted from its beginning,
    which was ``age_s`` ago.

    ``waiting`` is where it stands, see `waiting_of`. ``submitted_s`` is when it went to its model's
    queue, ``dispatched_s`` when to a worker, ``first_s`` when the first of its answer came,
    ``total_s`` its end. ``status`` and ``error`` are its outcome as the log has it, ``client`` who
    asked: a key's name, else an address.
    """

    id: str
    path: str
    stage: Stage
    key: str | None
    client: str
    model: str | None
    age_s: float
    waiting: dict[str, Any] | None = None
    submitted_s: float | None = None
    dispatched_s: float | None = None
    first_s: float | None = None
    total_s: float | None = None
    status: int | None = None
    error: str | None = None
    usage: Usage | None = None


@dataclass(slots=True)
class _Ended:
    """As little as can be made of a request when it ends; the rest waits until somebody asks."""

    context: RequestContext
    path: str
    ended_at: float
    submitted_at: float | None
    dispatched_at: float | None
    first_at: float | None


class RequestRegistry:
    """Owns the list. Of contexts it keeps none of what they hold for their answers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[RequestContext, str] = {}
        self._ended: deque[_Ended] = deque(maxlen=KEPT)

    def begin(self, context: RequestContext, path: str) -> None:
        """A request has come, and will `end`."""
        self._open[context] = path

    def end(self, context: RequestContext) -> None:
        """It has its outcome. Called before its context lets go of the stream."""
        path = self._open.pop(context)
        if context.status in _NOT_LET_IN and context.model is None:
            return
        stream = context.stream
        if stream is None:
            self._ended.append(_Ended(context, path, self._clock(), None, None, None))
            return
        times = stream.submitted_at, stream.dispatched_at, stream.first_at
        self._ended.append(_Ended(context, path, self._clock(), *times))

    def records(self) -> list[RequestRecord]:
        """All that are known, newest first."""
        now = self._clock()
        found = [_open(context, path, now) for context, path in self._open.items()]
        found += [_ended(one, now) for one in self._ended]
        return sorted(found, key=lambda record: record.age_s)

    def record(self, request_id: str) -> RequestRecord:
        """The newest one of that id, those that are worked on first. Raises `NotFound`."""
        now = self._clock()
        for context in reversed(self._open):
            if context.request_id == request_id:
                return _open(context, self._open[context], now)
        for one in reversed(self._ended):
            if one.context.request_id == request_id:
                return _ended(one, now)
        raise _unknown(request_id)

    def streams(self, request_id: str) -> list[Stream]:
        """The answers that are made for requests of that id. Clients choose ids, and may use one
        twice. Raises `NotFound` where none is."""
        found = [
            context.stream
            for context in self._open
            if context.request_id == request_id and context.stream is not None
        ]
        if not found:
            raise _unknown(request_id)
        return found


def _open(context: RequestContext, path: str, now: float) -> RequestRecord:
    stream, began_at = context.stream, context.started_at
    return RequestRecord(
        id=context.request_id,
        path=path,
        stage=_stage(stream),
        key=context.key,
        client=context.client.name,
        model=context.model,
        age_s=now - began_at,
        waiting=waiting_of(context),
        submitted_s=stream.submitted_at - began_at if stream else None,
        dispatched_s=_since(began_at, stream.dispatched_at) if stream else None,
        first_s=_since(began_at, stream.first_at) if stream else None,
    )


def _stage(stream: Stream | None) -> Stage:
    if stream is None:
        return "received"
    if stream.dispatched_at is None:
        return "waiting"
    return "running" if stream.first_at is None else "answering"


def _ended(one: _Ended, now: float) -> RequestRecord:
    context = one.context
    began_at = context.started_at
    return RequestRecord(
        id=context.request_id,
        path=one.path,
        stage="ended",
        key=context.key,
        client=context.client.name,
        model=context.model,
        age_s=now - began_at,
        submitted_s=_since(began_at, one.submitted_at),
        dispatched_s=_since(began_at, one.dispatched_at),
        first_s=_since(began_at, one.first_at),
        total_s=one.ended_at - began_at,
        status=context.status,
        error=context.error,
        usage=context.usage,
    )


def _since(began_at: float, at: float | None) -> float | None:
    return None if at is None else at - began_at


def _unknown(request_id: str) -> ServeError:
    return NotFound(
        f"no request {request_id!r} is worked on or among the last {KEPT} that have ended",
        param="request_id",
    )
