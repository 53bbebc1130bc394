"""The requests that this server works on and the last that it has ended, for whoever runs it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from frontend.dispatch.stream import Stream
from frontend.history.request_record import RequestRecord, open_record
from frontend.http.request_context import RequestContext
from ipc.messages.errors import NotFound, ServeError

KEPT = 1000
# Whoever was not let in has asked nothing; many of them would push out all others.
_NOT_LET_IN = frozenset({401, 403})


class RequestRegistry:
    """Owns the list. ``keep`` is told of each that has ended, ``come`` that one has begun."""

    def __init__(
        self,
        keep: Callable[[RequestRecord], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
        come: Callable[[], None] = lambda: None,
    ) -> None:
        self._come = come
        self._keep = keep
        self._clock = clock
        self._wall_s = wall_s
        self._open: dict[RequestContext, None] = {}
        self._ended: deque[tuple[int, RequestRecord]] = deque(maxlen=KEPT)
        self._count = 0

    def begin(self, context: RequestContext) -> None:
        """A request has come, and will `end`."""
        self._open[context] = None
        self._come()

    def end(self, context: RequestContext, record: RequestRecord) -> None:
        """It has its outcome, which is in ``record``."""
        del self._open[context]
        if record.status in _NOT_LET_IN and record.model is None:
            return
        self._count += 1
        self._ended.append((self._count, record))
        self._keep(record)

    @property
    def contexts(self) -> Iterable[RequestContext]:
        """Of those that are worked on, in the order in which they came."""
        return self._open

    def open(self) -> list[RequestRecord]:
        """Those that are worked on, newest first."""
        now, wall_s = self._clock(), self._wall_s()
        return [open_record(context, now, wall_s) for context in reversed(self._open)]

    def ended(self) -> list[tuple[int, RequestRecord]]:
        """The last that have ended, the last one first, each with a number that grows."""
        return [*reversed(self._ended)]

    def record(self, request_id: str) -> RequestRecord | None:
        """The newest one of that id, those that are worked on first; None where none is known."""
        for context in reversed(self._open):
            if context.request_id == request_id:
                return open_record(context, self._clock(), self._wall_s())
        return next((one for _, one in reversed(self._ended) if one.id == request_id), None)

    def streams(self, request_id: str) -> list[Stream]:
        """The answers that are made for requests of that id. Clients choose ids, and may use one
        twice. Raises `NotFound` where none is."""
        found = [
            context.stream
            for context in self._open
            if context.request_id == request_id and context.stream is not None
        ]
        if not found:
            raise unknown(request_id)
        return found


def unknown(request_id: str) -> ServeError:
    return NotFound(
        f"no request {request_id!r} is worked on or remembered: it may be older than all that is "
        "kept, see HISTORY_DAYS and HISTORY_MB",
        param="request_id",
    )
