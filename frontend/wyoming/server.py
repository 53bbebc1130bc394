"""The listener of the protocol: so many clients at a time, each on a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time

from frontend.current import Current
from frontend.dispatch.budget import Budget
from frontend.dispatch.dispatcher import Dispatcher
from frontend.wyoming import frames
from frontend.wyoming.announcement import Announcement, announced
from frontend.wyoming.catalog import Catalog
from frontend.wyoming.connection import Connection
from frontend.wyoming.conversations import Conversations
from frontend.wyoming.work import Work
from ipc.messages.control import Serve
from ipc.messages.errors import Unavailable
from ipc.transport.wire import MAX_BLOB_BYTES

logger = logging.getLogger(__name__)

# As the protocol has no keys, whoever reaches the port comes in, but not in numbers.
MOST = 16
CLOSE_S = 2.0


class WyomingServer:
    """Asks ``app`` whatever the clients of ``listener`` ask."""

    def __init__(
        self, listener: socket.socket, app: Current, dispatcher: Dispatcher, budget: Budget
    ) -> None:
        self._listener = listener
        self._app = app
        self._catalog = Catalog(dispatcher)
        self._budget = budget
        self._most_bytes = 0
        self._conversations = Conversations()
        self._clients: dict[asyncio.Task[None], Connection] = {}
        self._server: asyncio.Server | None = None
        self._announcement: Announcement | None = None

    def set(self, serve: Serve) -> None:
        """What is asked from now on has these limits."""
        self._most_bytes = _most_bytes(serve)
        self._app.set(serve)

    async def begin(self, serve: Serve) -> None:
        self._most_bytes = _most_bytes(serve)
        self._server = await asyncio.start_server(
            self._answer, sock=self._listener, limit=frames.MAX_LINE_BYTES
        )
        if serve.wyoming_announced:
            self._announcement = await announced(*self._listener.getsockname()[:2])

    async def end(self) -> None:
        """Listen no more, and part from clients. Their jobs have ended, or have been ended, and
        there is a moment to tell them so."""
        if self._announcement is not None:
            await self._announcement.end()
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*(_part(*client) for client in self._clients.items()))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _peer(writer)
        if len(self._clients) >= MOST:
            logger.warning("wyoming_refused", extra={"peer": peer[0], "connections": MOST})
            await _refuse(writer)
            return
        connection = Connection(
            reader,
            writer,
            self._catalog,
            self._budget,
            self._most_bytes,
            lambda send: Work(self._app, self._catalog, self._conversations, peer, send),
        )
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = connection
        try:
            await _logged(connection, peer[0])
        except asyncio.CancelledError:
            pass  # the server ends, and nobody waits for this task
        finally:
            del self._clients[task]
            await _close(writer)


async def _part(client: asyncio.Task[None], connection: Connection) -> None:
    """End it once all has been answered, or after a while."""
    answered = asyncio.ensure_future(connection.answered())
    both = {client, answered}
    await asyncio.wait(both, timeout=CLOSE_S, return_when=asyncio.FIRST_COMPLETED)
    for one in both:
        one.cancel()
    await asyncio.wait(both, timeout=CLOSE_S)


def _most_bytes(serve: Serve) -> int:
    """Of a recording, which is put together in memory."""
    return min(serve.max_audio_bytes, MAX_BLOB_BYTES)


async def _logged(connection: Connection, peer: str) -> None:
    began_at, error = time.monotonic(), None
    try:
        error = await connection.run()
    finally:
        facts = {"peer": peer, "seconds": round(time.monotonic() - began_at, 2)}
        logger.info("wyoming_connection", extra=facts | ({"error": error} if error else {}))


async def _refuse(writer: asyncio.StreamWriter) -> None:
    error = Unavailable(f"this server has {MOST} clients of this protocol, and takes no more")
    writer.write(frames.encode(frames.failure(error)))
    await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    """What has been written still goes out, unless it is not read."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_S):
            await writer.wait_closed()
    except (TimeoutError, ConnectionError):
        with contextlib.suppress(ConnectionError):
            writer.transport.abort()


def _peer(writer: asyncio.StreamWriter) -> tuple[str, int]:
    found = writer.get_extra_info("peername")
    return (str(found[0]), int(found[1])) if found else ("", 0)
