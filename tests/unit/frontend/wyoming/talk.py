"""A listener of the protocol around the real application, and a client of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from frontend.app import Kept, keyless_of
from frontend.current import Current
from frontend.dispatch.budget import Budget
from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.event_feed import EventFeed
from frontend.metrics.prometheus import Metrics
from frontend.wyoming import frames
from frontend.wyoming.frames import Event
from frontend.wyoming.server import WyomingServer
from tests.unit.frontend.http_fakes import FakeControl, FakeDispatcher, application, limits

PATIENCE_S = 20.0
MONO = {"rate": 16_000, "width": 2, "channels": 1}


class Client:
    """The client's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(
        self, kind: str, data: dict[str, Any] | None = None, payload: bytes = b""
    ) -> None:
        self.writer.write(frames.encode(Event(kind, data or {}, payload)))
        await self.writer.drain()

    async def read(self) -> Event | None:
        async with asyncio.timeout(PATIENCE_S):
            return await frames.read(self.reader)

    async def until(self, kind: str) -> list[Event]:
        """All that comes, up to this or to the end of the connection."""
        found: list[Event] = []
        while (event := await self.read()) is not None:
            found.append(event)
            if event.type == kind:
                break
        return found


class Listener:
    """Clients of one server."""

    def __init__(self, port: int, server: WyomingServer, budget: Budget, kept: Kept) -> None:
        self.port = port
        self.server = server
        self.budget = budget
        self.kept = kept

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()


def listening(
    fake: FakeDispatcher, history: Callable[[Listener], Awaitable[None]], **changes: Any
) -> None:
    """Run ``history`` with a listener around ``fake``."""

    async def run() -> None:
        control, budget, serve = FakeControl(None), Budget(1 << 30), limits(**changes)
        kept = Kept.of(serve, EventFeed())
        dispatcher = cast(Dispatcher, fake)
        metrics = Metrics(dispatcher, cast(Control, control), budget)
        app = application(fake, control, budget, kept=kept, **changes)
        listener = socket.create_server(("127.0.0.1", 0))
        keyless = Current(lambda _: keyless_of(app, metrics, budget, kept), serve)
        server = WyomingServer(listener, keyless, dispatcher, budget)
        await server.begin(serve)
        try:
            await history(Listener(listener.getsockname()[1], server, budget, kept))
        finally:
            await server.end()

    asyncio.run(run())
