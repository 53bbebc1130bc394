"""A WebSocket's connection, within bounds that uvicorn's own protocol lacks.

Its own module, since what it needs is imported with the first socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from frontend.dispatch.budget import Budget
from ipc.messages.errors import OutOfMemory

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent

# What a byte of a message takes at most: as it has come, as a text, and as what is read from that.
COPIES = 3
# What is taken of one in a turn of the loop: some milliseconds, if it is of frames of one byte.
TURN_BYTES = 8 << 10
# A browser sends pieces of 64 KiB or more.
MOST_FRAGMENTS = 4096
TOO_BIG, TRY_AGAIN_LATER = 1009, 1013


class SocketConnection(WebSocketsSansIOProtocol):
    """One of them. What it holds of messages is claimed from ``budget``, as bodies are."""

    def __init__(self, budget: Budget, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._claim = budget.open()
        # Of the message that is not whole, and of those that are, until the application asks for
        # the next. What comes behind the end of one in the same read counts for that one.
        self._coming_bytes = self._given_bytes = 0
        self._rest = bytearray()  # what has not been looked at
        self._goes_on = False

    def connection_lost(self, exc: Exception | None) -> None:
        # What is not whole is nobody's any more. This object lives on until the collector comes by.
        self._rest.clear()
        self.frames.clear()
        self.conn.reader.discard()
        self._claim.release()
        super().connection_lost(exc)

    def shake_hands(self, head: bytes, rest: bytes) -> bool:
        """Take the request whose ``head`` has come, and what followed it. False: it is none."""
        super().data_received(head)
        if self.handshake_initiated and rest:
            self.data_received(rest)
        return self.handshake_initiated

    def data_received(self, data: bytes) -> None:
        try:
            self._claim.add(COPIES * len(data))
        except OutOfMemory as error:
            self._part(TRY_AGAIN_LATER, error.code)
            return
        self._coming_bytes += len(data)
        self._rest += data
        if not self._goes_on:
            self._go_on()

    def _go_on(self) -> None:
        """Take as much as fits into a turn of the loop, and nothing behind a whole message until
        the application has asked for it."""
        self._goes_on = False
        if self.transport.is_closing():
            self._rest.clear()
        elif not self.read_paused:
            data = bytes(self._rest[:TURN_BYTES])
            del self._rest[:TURN_BYTES]
            super().data_received(data)
            if self._rest:
                self.transport.pause_reading()
                self._soon()
            elif not self.read_paused and not self.transport.is_closing():
                self.transport.resume_reading()

    def _soon(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            self.loop.call_soon(self._go_on)

    def handle_cont(self, event: Frame) -> None:
        if self.close_sent:
            return
        if len(self.frames) >= MOST_FRAGMENTS:
            self._part(TOO_BIG, f"a message has at most {MOST_FRAGMENTS} fragments")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        self._given_bytes += self._coming_bytes
        self._coming_bytes = 0
        super().send_receive_event_to_app()

    def _part(self, code: int, reason: str) -> None:
        self.conn.fail(code, reason)
        if self.conn.close_sent is None:  # it has not been taken yet
            self.transport.close()
        else:
            self.handle_parser_exception()

    async def receive(self) -> ASGIReceiveEvent:
        if self.queue.empty():
            self._claim.subtract(COPIES * self._given_bytes)
            self._given_bytes = 0
        message = await super().receive()
        if self._rest:
            self._soon()
        return message

    def handle_ping(self) -> None:
        """Answered, unless the peer does not read: then the answers to all but its last may be left
        out (RFC 6455, 5.5.3), and would pile up here."""
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(pong)
