"""A WebSocket as the layers see it: its handshake is a GET like any other.

So hosts, origins, keys, limits, the log and the metrics are those of all requests, and what is
refused is refused by an ordinary answer. A route takes the socket by answering 101.
"""

from __future__ import annotations

import asyncio
from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# By the browser's own means a page can send a key only like this, as openai-node does.
KEY_PROTOCOL = "openai-insecure-api-key."
# A peer that takes nothing for so long has gone.
UNREAD_S = 30.0


class Closed(Exception):
    """The peer has closed the socket, or is gone."""


class Socket:
    """One peer, once the route that it asked for has answered 101."""

    def __init__(self, receive: Receive, send: Send, subprotocol: str | None) -> None:
        self._receive = receive
        self._send = send
        self._subprotocol = subprotocol
        self.is_open = False

    @staticmethod
    def of(scope: Scope) -> Socket | None:
        """That of a request; None: an ordinary one."""
        return cast("Socket | None", scope.get("socket"))

    async def receive(self) -> str | bytes:
        """The next message. Raises `Closed`."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self.is_open = False
            raise Closed
        text: str | None = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def send(self, text: str) -> None:
        """Raises `Closed`, also for a peer that reads nothing."""
        await self._out({"type": "websocket.send", "text": text})

    async def close(self, code: int, reason: str = "") -> None:
        """End it, if it is open. ``reason`` is cut to what a frame holds."""
        if self.is_open:
            reason = reason.encode()[:123].decode(errors="ignore")
            await self._out({"type": "websocket.close", "code": code, "reason": reason})
            self.is_open = False

    async def _out(self, message: Message) -> None:
        try:
            async with asyncio.timeout(UNREAD_S):
                await self._send(message)
        except (OSError, TimeoutError) as error:  # uvicorn's ClientDisconnected is the former
            self.is_open = False
            raise Closed from error

    async def request(self) -> Message:
        """What the layers read: a request without a body."""
        return {"type": "http.request", "body": b"", "more_body": False}

    async def answer(self, message: Message) -> None:
        """What the layers answer: 101 takes the socket, any other status refuses it."""
        if message["type"] != "http.response.start":
            if not self.is_open:
                await self._send({**message, "type": "websocket.http.response.body"})
            return
        headers = message.get("headers", [])
        if message["status"] != 101:
            refused = {"status": message["status"], "headers": headers}
            await self._send({"type": "websocket.http.response.start", **refused})
            return
        accepted = {"headers": headers, "subprotocol": self._subprotocol}
        await self._send({"type": "websocket.accept", **accepted})
        self.is_open = True


class Sockets:
    """The outermost layer: turns a handshake into a request whose scope has the ``socket``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        await receive()  # websocket.connect
        offered = [name for name in scope["subprotocols"] if not name.startswith(KEY_PROTOCOL)]
        socket = Socket(receive, send, offered[0] if offered else None)
        request = {**scope, "type": "http", "method": "GET", "socket": socket}
        try:
            await self._app(request, socket.request, socket.answer)
        finally:
            await socket.close(1011)
