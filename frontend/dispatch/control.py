"""The frontend's side of the control socket: states come in, heartbeats and questions go out."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from typing import Any

import zmq

from frontend.dispatch.event_feed import EventFeed
from ipc.messages.admin import AdminAct, Ask, GetHealth, Happened, Note, Told, Wish
from ipc.messages.control import (
    HEARTBEAT_S,
    Demand,
    Drain,
    FromChild,
    Heartbeat,
    Hello,
    Left,
    Misbehaved,
    ModelDemand,
    Models,
    Ready,
    Reconfigure,
    Serve,
    States,
    ToChild,
    child_id,
)
from ipc.messages.errors import Unavailable, from_info
from ipc.messages.state import Route
from ipc.transport.sockets import Port, connect_dealer
from ipc.transport.wire import Decoder, encode

OnModels = Callable[[Models], None]
OnReconfigure = Callable[[Reconfigure], None]
OnStates = Callable[[States], None]
OnDrain = Callable[[Drain], None]


class Control:
    """Talks to the supervisor. ``serve`` resolves once it has said what to serve; what it says
    from then on waits for `listen`. ``events`` are those of the whole server."""

    def __init__(self, endpoint: str, generation: int) -> None:
        self.identity = child_id("frontend", generation)
        self.serve: asyncio.Future[Serve] = asyncio.get_running_loop().create_future()
        self._listeners: dict[type, Callable[[Any], None]] | None = None
        self._early: list[
            Models | Reconfigure | States | Drain
        ] = []  # what has come before `listen`
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._decoder = Decoder[ToChild](ToChild)
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Told]] = {}
        self.events = EventFeed()
        socket = connect_dealer(self._context, endpoint, self.identity, hwm=0)
        self._port = Port(socket, self._on_message)
        self._tell(Hello(child="frontend", generation=generation, pid=os.getpid()))

    def listen(
        self,
        on_models: OnModels,
        on_reconfigure: OnReconfigure,
        on_states: OnStates,
        on_drain: OnDrain,
    ) -> None:
        """Call these for what the supervisor says, beginning with what it has said before."""
        self._listeners = {
            Models: on_models,
            Reconfigure: on_reconfigure,
            States: on_states,
            Drain: on_drain,
        }
        early, self._early = self._early, []
        for message in early:
            self._listeners[type(message)](message)

    def ready(self) -> None:
        """Say that this frontend answers."""
        self._tell(Ready())

    def misbehaved(self, route: Route, why: str) -> None:
        """Say that a worker must be replaced, since events of it are lost."""
        self._tell(Misbehaved(replica=route.replica, generation=route.generation, why=why))

    def left(self, model: str) -> None:
        """Say that nothing is held any more for a model that is not to be served."""
        self._tell(Left(model))

    def demand(self, models: list[ModelDemand]) -> None:
        """Say what clients want of each model."""
        self._tell(Demand(models))

    async def beat(self) -> None:
        """One heartbeat each second: it comes from the very loop that serves clients."""
        while True:
            self._tell(Heartbeat())
            await asyncio.sleep(HEARTBEAT_S)

    async def health(self, timeout_s: float) -> dict[str, Any] | None:
        """The supervisor's fresh report, or None when it does not answer in time."""
        try:
            return await self.ask(GetHealth(), timeout_s)
        except Unavailable:
            return None

    async def ask(self, wish: Wish, timeout_s: float) -> dict[str, Any]:
        """What the supervisor reports when it has granted ``wish``. Raises the `ServeError` that it
        tells, and `Unavailable` when it does not answer in time."""
        question = Ask(next(self._ids), wish)
        answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._asked[question.id] = answer
        self._tell(question)
        try:
            async with asyncio.timeout(timeout_s):
                told = await answer
        except TimeoutError:
            raise Unavailable("the supervisor does not answer", retry_after_s=5.0) from None
        finally:
            del self._asked[question.id]
        if told.error is not None:
            raise from_info(told.error)
        return told.report or {}

    def note(self, event: str, model: str | None = None, **facts: Any) -> None:
        """Have this told among the events of the server; ``facts`` are JSON-ready."""
        self._tell(Note(event=event, model=model, facts=facts))

    def acted(self, act: AdminAct) -> None:
        """Have it written down that somebody has managed the server."""
        self._tell(act)

    def close(self) -> None:
        self._port.close()
        self._context.term()

    def _tell(self, message: FromChild) -> None:
        self._port.send(encode(message))

    def _on_message(self, frames: list[bytes]) -> None:
        message = self._decoder.decode(frames)
        if isinstance(message, Serve):
            self.serve.set_result(message)
        elif isinstance(message, Models | Reconfigure | States | Drain):
            if self._listeners is None:
                self._early.append(message)
            else:
                self._listeners[type(message)](message)
        elif isinstance(message, Told):
            answer = self._asked.get(message.id)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif isinstance(message, Happened):
            self.events.add(message.events)
