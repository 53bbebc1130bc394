"""An answer that is written while it is made.

The status is chosen as late as it can be: the first events decide it, or the first silence of
``keepalive_s``. Until then a failure is an ordinary error with a status of its own; after it the
failure is the stream's last word. A client that would rather know how it waits says so, and has the
headers at once. Whoever waits once they are out is told where it stands, each second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from frontend.dispatch.stream import Stream
from frontend.http.disconnect import Watch
from frontend.http.request_context import RequestContext
from frontend.http.sse import Render
from frontend.http.waiting import PERIOD_S, comment, wants_progress
from ipc.messages.errors import Cancelled, InternalError, ServeError
from ipc.messages.events import Done, Piece

_HEADERS = [
    # A proxy that compresses would collect the events into blocks, and caches have no use for them.
    (b"cache-control", b"no-cache, no-transform"),
    # nginx would otherwise collect the events into pages.
    (b"x-accel-buffering", b"no"),
]

OnGap = Callable[[float], None]
# So many are told together: to count one takes as long as to render a piece.
GAPS_AT_ONCE = 64


class StreamForm(Protocol):
    """How the events of one job look on the wire."""

    @property
    def media_type(self) -> bytes: ...

    @property
    def render(self) -> Render:
        """Makes what goes out for events, `Done` being the last of a stream; may be nothing."""
        ...

    def keepalive(self) -> bytes:
        """What shows in a silence that the answer goes on; clients make nothing of it."""
        ...

    def comment(self, text: str) -> bytes:
        """A line that clients skip; nothing in a form that has none."""
        ...

    def failure(self, error: ServeError) -> bytes | None:
        """The end of a stream that has begun and cannot go on; None: it breaks off."""
        ...


def misplaced(item: Piece | Done, answer: str) -> InternalError:
    """What `StreamForm.render` raises for an event that ``answer``, say "a chat", cannot have."""
    return InternalError(f"{answer} has no place for {type(item).__name__}")


class AnswerStream(Response):
    """The events of one job, in some form. Owns ``stream`` and closes it, however the answer ends.

    Every wake-up is one write, whatever it brought. With ``keepalive_s`` None silence is waited
    out, so that the first event decides the status. ``on_gap`` is told the seconds between batches
    of deltas, at the latest as the answer ends.
    """

    def __init__(
        self,
        stream: Stream,
        form: StreamForm,
        keepalive_s: float | None,
        on_gap: OnGap | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = [(b"content-type", form.media_type), *_HEADERS]
        self._stream = stream
        self._form = form
        self._keepalive_s = keepalive_s
        self._period_s = None if keepalive_s is None else min(PERIOD_S, keepalive_s)
        self._on_gap = on_gap
        self._delta_at: float | None = None
        self._gaps: list[float] = []  # that have not been told
        self._migrations = 0  # that have been told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = RequestContext.of(scope)
        context.streams = True
        try:
            async with Watch(receive):
                events = await self._first(scope)
                await send(
                    {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                )
                # In a task of its own: each token would otherwise wake it through every layer
                # that waits for this answer, and there are some fifteen of them.
                is_whole = await asyncio.create_task(self._run(send, events, context))
            # Outside the watch: a server may call a finished answer a disconnect.
            if is_whole:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except Cancelled as error:
            # Nobody is there to be told. Where the connection still stands, as where an answer has
            # broken off, the server sees that it is unfinished and closes it.
            context.status, context.error = error.status, error.code
        finally:
            self._stream.close()
            self._tell_gaps()

    async def _first(self, scope: Scope) -> list[Piece | Done]:
        """The first events; none after the silence that decides the status."""
        if not wants_progress(scope):
            return await self._stream.next(self._keepalive_s)
        return [] if self._where() else await self._waited()

    async def _run(self, send: Send, events: list[Piece | Done], context: RequestContext) -> bool:
        """Whether the answer has an end, of which kind ever."""
        form = self._form
        try:
            while True:
                self._time(events)
                said = form.render(events) if events else self._where() or form.keepalive()
                if self._stream.migrations != self._migrations:
                    said = self._migrated() + said
                if said:
                    await send({"type": "http.response.body", "body": said, "more_body": True})
                if events and isinstance(events[-1], Done):
                    context.usage = events[-1].result.usage
                    return True
                events = await self._waited()
        except ServeError as error:
            context.status, context.error = error.status, error.code
            last = None if isinstance(error, Cancelled) else form.failure(error)
            if last is None:
                return False
            await send({"type": "http.response.body", "body": last, "more_body": True})
            return True

    async def _waited(self) -> list[Piece | Done]:
        """The next events of the answer; none once there is something to tell of the wait for
        them, be it for the next worker, or after ``keepalive_s`` of silence."""
        return await self._stream.next(self._period_s) or await self._silence()

    async def _silence(self) -> list[Piece | Done]:
        """As `_waited`, when nothing has come for ``_period_s``."""
        if self._keepalive_s is None or self._period_s is None:
            return []  # never: silence is waited out
        silent_s = self._period_s
        while silent_s < self._keepalive_s and not self._where():
            period_s = min(PERIOD_S, self._keepalive_s - silent_s)
            if events := await self._stream.next(period_s):
                return events
            silent_s += period_s
        return []

    def _where(self) -> bytes:
        """A comment on where the job stands, if it waits and comments can be told."""
        told = comment(self._stream.standing())
        return self._form.comment(told) if told and self._keepalive_s is not None else b""

    def _migrated(self) -> bytes:
        """A comment, once each time that another worker has had to go on: an answer that is drawn
        at random may be another one from here on than it would have been."""
        before, self._migrations = self._migrations, self._stream.migrations
        if self._migrations == before or self._keepalive_s is None:
            return b""
        return self._form.comment("migrated")

    def _time(self, events: list[Piece | Done]) -> None:
        if self._on_gap is None or not events or not isinstance(events[0], Piece):
            return
        now = time.monotonic()
        if self._delta_at is not None:
            self._gaps.append(now - self._delta_at)
            if len(self._gaps) >= GAPS_AT_ONCE:
                self._tell_gaps()
        self._delta_at = now

    def _tell_gaps(self) -> None:
        if self._on_gap is not None:
            for gap_s in self._gaps:
                self._on_gap(gap_s)
        self._gaps.clear()
