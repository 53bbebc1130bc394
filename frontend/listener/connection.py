"""The connection under the application, within bounds that uvicorn's own protocol lacks.

Each thing that a client may do slowly has a clock: sending a head, sending the rest of a body that
nobody wants, reading an answer. Each that it may do much has a limit: connections, pipelined
requests, bytes of a head. A refusal is an error object too, and ends the connection.

Past the cap on connections the one that has asked for nothing for the longest time makes room. If
every one is asking, a newcomer may still be a probe: a few places are kept for those.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from frontend.dispatch.budget import Budget
from frontend.http.errors import error_bytes
from frontend.http.request_context import RequestContext
from frontend.listener import request_head
from frontend.listener.answer_transport import AnswerTransport
from frontend.listener.bounds import Bounds
from frontend.listener.http10 import to_the_end
from ipc.messages.errors import (
    HeadersTooLarge,
    InvalidRequest,
    RequestTimeout,
    ServeError,
    Unavailable,
    UriTooLong,
)
from ipc.runtime.log import Channel

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

access = Channel("edge_serve.access")

# What is taken in a turn of the loop from a client that sends as fast as it can: 2 ms, if it is of
# chunks of one byte.
_TURN_BYTES = 64 << 10
# What a chunk of one byte costs beside that byte. Chunks as small as that are allowed, as Go's
# server does (net/http/internal/chunked.go), and nothing dearer.
_CHUNK_BYTES = len(b"1\r\n\r\n")


class Others:
    """The connections of one listener by what is awaited of them, each in the order of its time."""

    def __init__(self) -> None:
        # Nothing is owed to them, since when: no request of theirs is whole.
        self.quiet: dict[Connection, float] = {}
        # They have been answered, but still send.
        self.lingering: set[Connection] = set()
        # They came when there was no room; True: with a probe, which is being answered.
        self.spare: dict[Connection, bool] = {}


class Connection(HttpToolsProtocol):
    """One connection. ``others`` is shared by all of a listener; ``budget`` is for what it becomes
    if it is handed on."""

    def __init__(self, bounds: Bounds, budget: Budget, others: Others, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._bounds = bounds
        self._budget = budget
        self._others = others
        self._lingering = others.lingering
        # What has come and has not been looked at.
        self._rest = bytearray()
        # What the client is in the middle of sending.
        self._part: Literal["nothing", "head", "body"] = "nothing"
        # Of the request that is coming: what is no body, less what its body's chunks may cost.
        self._head_bytes = 0
        # Of the data that is being read: the parts of a body, and how much of it is body.
        self._parts: list[bytes] = []
        self._body_bytes = 0
        self._fields = self._field_bytes = 0
        self._completed = self._upgrading = False
        self._running: RequestResponseCycle | None = None
        # Nothing that comes from now on is looked at.
        self._deaf = False
        self._alarm: asyncio.TimerHandle | None = None
        self._unread_alarm: asyncio.TimerHandle | None = None

    # --- the transport's calls ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = FlowControl(cast(asyncio.Transport, self))
        if len(self.connections) > self._bounds.connections and not self._make_room():
            self._take_spare_place()
        else:
            self._keep_quiet()
            self._set_alarm(self._bounds.head_s, self._on_slow_head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_alarm()
        self._clear_unread_alarm()
        self._unset_keepalive_if_required()
        self._lingering.discard(self)
        self._others.quiet.pop(self, None)
        self._others.spare.pop(self, None)
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            # uvicorn tells only the request that came last.
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take ``data``, as much as fits into a turn of the loop; the rest when all others have
        been heard. The loop itself would read from one that sends much for 32 times in a row."""
        if self._rest:
            self._rest += data
            return
        if len(data) >= _TURN_BYTES:
            self._rest += memoryview(data)[_TURN_BYTES:]
            self.transport.pause_reading()
            self.loop.call_soon(self._go_on)
        self._take(data[:_TURN_BYTES])

    def _go_on(self) -> None:
        if self.transport.is_closing():
            self._rest.clear()
            return
        data = bytes(self._rest[:_TURN_BYTES])
        del self._rest[:_TURN_BYTES]
        self._take(data)
        if self._rest:
            self.loop.call_soon(self._go_on)
        elif not self.flow.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def pause_reading(self) -> None:
        """The application has enough in hand."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """The application wants more, which may have come already."""
        if not self._rest:
            self.transport.resume_reading()

    def _take(self, data: bytes) -> None:
        if self._deaf or not data:
            return
        self._unset_keepalive_if_required()
        if self._part == "nothing":  # so that line breaks between requests have a clock too
            self._part, self._head_bytes = "head", 0
        self._completed, self._body_bytes = False, 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._is_socket():
                self._become_socket(rest)
            else:
                self._decline_upgrade(rest)
            return
        except httptools.HttpParserError as error:
            ours = error.__context__
            self._refuse(
                ours if isinstance(ours, ServeError) else InvalidRequest("not a valid HTTP request")
            )
            return
        self._hand_on_body()
        if not self._completed:  # else where in ``data`` the next head begins is not known
            self._count(len(data) - self._body_bytes)
        if self._head_bytes > self._bounds.head_bytes:
            self._refuse(self._too_large())
        else:
            self._watch()

    def _count(self, overhead_bytes: int) -> None:
        """Count what has come that is no body. What never ends is found here: the parser keeps a
        field until it is whole, and copies it with each part that comes."""
        allowed_bytes = self._body_bytes * _CHUNK_BYTES
        self._head_bytes = max(0, self._head_bytes + overhead_bytes - allowed_bytes)

    def _too_large(self) -> HeadersTooLarge:
        what = "head is" if self._part == "head" else "trailer or the frame of its chunks is"
        return HeadersTooLarge(f"the request's {what} over {self._bounds.head_bytes} bytes")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._clear_unread_alarm()
        self._expect_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._clear_unread_alarm()

    # --- the parser's calls ---

    def on_message_begin(self) -> None:
        if self.cycle is not None and not self.cycle.keep_alive:
            raise InvalidRequest("nothing may follow the last request of a connection")
        super().on_message_begin()
        self._part, self._head_bytes = "head", 0
        self._fields = self._field_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._bounds.target_bytes:
            raise UriTooLong("the request's target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        if self._fields > self._bounds.fields:
            raise HeadersTooLarge(f"a request has at most {self._bounds.fields} headers")
        self._field_bytes += len(name) + len(value)
        if self._field_bytes > self._bounds.head_bytes:
            raise self._too_large()
        if self._part == "body":
            request_head.check_trailer(name.lower(), value)
        else:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        method, version = self.parser.get_method().decode("ascii"), self.parser.get_http_version()
        request_head.check(method, version, self.url, self.headers)
        if len(self.pipeline) >= self._bounds.pipelined:
            raise InvalidRequest("too many requests were sent ahead on one connection")
        self._upgrading = self.parser.should_upgrade()
        if self._upgrading and method == "CONNECT":
            raise InvalidRequest("this server is no proxy")
        in_spare_place = self in self._others.spare
        if in_spare_place:
            self._answer_probes_only()
        if self._upgrading:
            self._part = "body"
            return
        self.expect_100_continue &= version != "1.0"  # which knows no interim answers
        super().on_headers_complete()
        self._part = "body"
        self._others.quiet.pop(self, None)
        self.cycle.keep_alive &= not in_spare_place
        self.cycle.transport = cast(
            asyncio.Transport, AnswerTransport(self, self.cycle.scope["method"])
        )

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)  # and no more: this runs for each chunk, however small

    def _hand_on_body(self) -> None:
        """Give the application what has come of a body, in one piece."""
        if self._parts:
            body = b"".join(self._parts)
            self._parts.clear()
            self._body_bytes += len(body)
            if not self._upgrading:
                super().on_body(body)

    def on_message_complete(self) -> None:
        self._hand_on_body()
        self._part, self._completed = "nothing", True
        if not self._upgrading:
            super().on_message_complete()

    def _is_socket(self) -> bool:
        """Whether the request that has come is a WebSocket's, for a path that has one."""
        wanted = (b"upgrade", b"websocket")
        path = self.url.partition(b"?")[0].decode("latin-1")
        return (
            path in self._bounds.sockets
            and not self._answering
            and any((name, value.lower()) == wanted for name, value in self.headers)
        )

    def _become_socket(self, rest: bytes) -> None:
        """Hand the connection on. What sockets need is imported with the first: a frontend that has
        none stays small."""
        from frontend.listener.socket_connection import SocketConnection

        self._clear_alarm()
        self._clear_unread_alarm()
        self._unset_keepalive_if_required()
        self._others.quiet.pop(self, None)
        self.connections.discard(self)
        self._deaf = True
        socket = SocketConnection(
            self._budget,
            config=self.config,
            server_state=self.server_state,
            app_state=self.app_state,
        )
        fields = (b"%b: %b\r\n" % pair for pair in self.headers)
        socket.connection_made(self.transport)
        self.transport.set_protocol(socket)
        method = self.parser.get_method()
        head = b"".join((b"%b %b HTTP/1.1\r\n" % (method, self.url), *fields, b"\r\n"))
        if not socket.shake_hands(
            head, rest
        ):  # a body, say, or a header that it holds for too long
            self._answer(InvalidRequest("not a WebSocket's handshake: RFC 6455, 4.1, has its form"))
            self.transport.close()

    def _decline_upgrade(self, rest: bytes) -> None:
        """Answer in HTTP/1.1, as a server may (RFC 9110 7.8).

        Java's client asks for HTTP/2 in this way with each request; the parser would skip its body.
        """
        fields = (b"%b: %b\r\n" % pair for pair in self.headers if pair[0] != b"upgrade")
        method = self.parser.get_method()
        plain = b"".join((b"%b %b HTTP/1.1\r\n" % (method, self.url), *fields, b"\r\n"))
        self._upgrading = False
        self._parts.clear()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._take(plain + rest)

    # --- the application's calls ---

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        if cycle.scope["http_version"] == "1.0":
            app = to_the_end(app, cycle)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        if self in self._lingering:
            self.pipeline.clear()
            return
        was_last = not self.pipeline
        super().on_response_complete()
        if was_last:
            self._keep_quiet()
        if not self._deaf:
            self._watch()
        elif was_last:
            self.end()

    def close(self) -> None:
        """Close after an answer: at once where the client has said all that it had to say."""
        if self._part == "nothing":
            self.transport.close()
        else:
            self.end()

    def end(self) -> None:
        """Close, once the client has sent what it is sending or has had time to.

        Closing on unread input resets the connection, and takes the answer away from the client.
        """
        if self.transport.is_closing() or self in self._lingering:
            return
        self._deaf = True
        self._others.quiet.pop(self, None)
        self._unset_keepalive_if_required()
        if len(self._lingering) >= self._bounds.lingering:
            self.transport.close()
            return
        self._lingering.add(self)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._set_alarm(self._bounds.linger_s, self.transport.close)

    # --- clocks and refusals ---

    @property
    def answer_begun(self) -> bool:
        """Whether the head of the running request's answer has been written."""
        return self._running is not None and self._running.response_started

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        """Set the clock for what is awaited from the client now.

        A body that the application reads is under its clock, see `frontend.http.body`.
        """
        if self._part == "head":
            if self._alarm is None:
                self._set_alarm(self._bounds.head_s, self._on_slow_head)
            return
        if self._part == "body" and not self._answering:
            if self._alarm is None:
                self._set_alarm(self._bounds.linger_s, self.transport.close)
            return
        self._clear_alarm()
        if not self._answering and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _on_slow_head(self) -> None:
        if self._head_bytes == 0 and self.cycle is None:
            self.transport.close()  # opened ahead by a browser, say; nothing has been asked
        else:
            self._refuse(RequestTimeout("the request's head did not arrive in time"))

    def _refuse(self, error: ServeError) -> None:
        """Answer ``error``, after the answers that are owed, and close."""
        in_body = self._part == "body"
        self._deaf = True
        self._clear_alarm()
        if in_body and self.pipeline:
            self.pipeline.popleft()
            return
        if self._answering and not in_body:
            return  # `on_response_complete` closes after the last of them
        if in_body:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.end()
                return
        self._answer(error)
        self.end()

    def _answer(self, error: ServeError) -> None:
        context = RequestContext()
        facts = {"status": error.status, "error": error.code, "request_id": context.request_id}
        access.tell(logging.INFO, "refused", facts)
        fields = self.server_state.default_headers
        self.transport.write(error_bytes(error, context, fields, close=True))

    def _keep_quiet(self) -> None:
        """Nothing is owed to the client from now on."""
        if self in self.connections:
            self._others.quiet.pop(self, None)
            self._others.quiet[self] = self.loop.time()

    def _make_room(self) -> bool:
        """Close the connection that has been quiet for the longest time, if there is one whose
        client has had time to ask, and takes its answers."""
        before = self.loop.time() - self._bounds.silent_s
        for other, since in self._others.quiet.items():
            asked = other.cycle is not None
            if (asked or since <= before) and not other.transport.get_write_buffer_size():
                other.make_way()
                return True
        return False

    def make_way(self) -> None:
        """Close, as somebody else needs the place."""
        self.connections.discard(self)
        del self._others.quiet[self]
        if self._part == "head" and self._head_bytes:
            self._refuse(_no_room())
        else:
            self.transport.close()

    def _take_spare_place(self) -> None:
        """Wait a moment for a probe; whoever has done so longest goes, if there are too many."""
        self.connections.discard(self)
        spare = self._others.spare
        spare[self] = False
        self._set_alarm(self._bounds.spare_s, self._leave_spare_place)
        if len(spare) > self._bounds.spare:
            next(each for each, answering in spare.items() if not answering)._leave_spare_place()

    def _leave_spare_place(self) -> None:
        self._others.spare.pop(self, None)
        self._refuse(_no_room())

    def _answer_probes_only(self) -> None:
        if self.url.decode("latin-1") not in self._bounds.probes:
            del self._others.spare[self]
            raise _no_room()
        self._others.spare[self] = True

    def _expect_reading(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._unread_alarm = self.loop.call_later(
            self._bounds.unread_s, self._check_reading, waiting
        )

    def _check_reading(self, before: int) -> None:
        if before - self.transport.get_write_buffer_size() < self._bounds.unread_bytes:
            self.transport.abort()
        else:
            self._expect_reading()

    def _set_alarm(self, seconds: float, ring: Callable[[], None]) -> None:
        self._clear_alarm()
        self._alarm = self.loop.call_later(seconds, ring)

    def _clear_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _clear_unread_alarm(self) -> None:
        if self._unread_alarm is not None:
            self._unread_alarm.cancel()
            self._unread_alarm = None


def _no_room() -> Unavailable:
    return Unavailable(
        "this server has no connection left; close idle ones, or raise MAX_CONNECTIONS",
        retry_after_s=1,
    )


def protocol(bounds: Bounds, budget: Budget) -> type[asyncio.Protocol]:
    """The protocol of one listener, in the form that uvicorn calls to make each connection."""
    return cast(type[asyncio.Protocol], partial(Connection, bounds, budget, Others()))
