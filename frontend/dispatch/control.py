"""The frontend's side of the control socket: states come in, heartbeats and questions go out."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from typing import Any

import zmq

from ipc.messages.control import (
    HEARTBEAT_S,
    AskHealth,
    Drain,
    FromChild,
    Health,
    Heartbeat,
    Hello,
    Misbehaved,
    Ready,
    Serve,
    States,
    ToChild,
    child_id,
)
from ipc.messages.state import Route
from ipc.transport.sockets import Port, connect_dealer
from ipc.transport.wire import Decoder, encode

OnStates = Callable[[States], None]
OnDrain = Callable[[float], None]


class Control:
    """Talks to the supervisor. ``serve`` resolves once it has said what to serve."""

    def __init__(self, endpoint: str, generation: int) -> None:
        self.identity = child_id("frontend", generation)
        self.serve: asyncio.Future[Serve] = asyncio.get_running_loop().create_future()
        self.on_states: OnStates = lambda _: None
        self.on_drain: OnDrain = lambda _: None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._decoder = Decoder[ToChild](ToChild)
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        socket = connect_dealer(self._context, endpoint, self.identity, hwm=0)
        self._port = Port(socket, self._on_message)
        self._tell(Hello(child="frontend", generation=generation, pid=os.getpid()))

    def ready(self) -> None:
        """Say that this frontend answers."""
        self._tell(Ready())

    def misbehaved(self, route: Route, why: str) -> None:
        """Say that a worker must be replaced, since events of it are lost."""
        self._tell(Misbehaved(replica=route.replica, generation=route.generation, why=why))

    async def beat(self) -> None:
        """One heartbeat each second: it comes from the very loop that serves clients."""
        while True:
            self._tell(Heartbeat())
            await asyncio.sleep(HEARTBEAT_S)

    async def health(self, timeout_s: float) -> dict[str, Any] | None:
        """The supervisor's fresh report, or None when it does not answer in time."""
        question = AskHealth(next(self._ids))
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[question.id] = answer
        self._tell(question)
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._asked[question.id]

    def close(self) -> None:
        self._port.close()
        self._context.term()

    def _tell(self, message: FromChild) -> None:
        self._port.send(encode(message))

    def _on_message(self, frames: list[bytes]) -> None:
        message = self._decoder.decode(frames)
        if isinstance(message, Serve):
            self.serve.set_result(message)
        elif isinstance(message, States):
            self.on_states(message)
        elif isinstance(message, Drain):
            self.on_drain(message.seconds)
        elif isinstance(message, Health):
            answer = self._asked.get(message.id)
            if answer is not None and not answer.done():
                answer.set_result(message.report)
