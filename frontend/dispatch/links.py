"""The real effects: one ZeroMQ socket for each living worker generation.

A generation that ends takes its socket with it, so no stale job can reach the next one and no late
event can come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import zmq

from frontend.dispatch.effects import LinkListener
from frontend.dispatch.lane import route_id
from frontend.dispatch.link import Link
from ipc.messages.control import ModelDemand
from ipc.messages.jobs import FromFrontend
from ipc.messages.state import Route
from ipc.transport.wire import encode


class Supervisor(Protocol):
    """What is said to the supervisor; see `frontend.dispatch.control`."""

    def misbehaved(self, route: Route, why: str) -> None: ...

    def left(self, model: str) -> None: ...

    def note(self, event: str, model: str | None = None, **facts: Any) -> None: ...

    def demand(self, models: list[ModelDemand]) -> None: ...


class Links:
    """Owns the sockets and their ZeroMQ context; ``identity`` is what workers know them by."""

    def __init__(
        self, identity: str, supervisor: Supervisor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.now = clock
        self.misbehaved = supervisor.misbehaved
        self.left = supervisor.left
        self.demand = supervisor.demand
        self._supervisor = supervisor
        self._identity = identity
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._links: dict[str, Link] = {}

    def note(self, event: str, model: str, facts: dict[str, Any]) -> None:
        self._supervisor.note(event, model, **facts)

    def connect(self, route: Route, listener: LinkListener) -> None:
        name = route_id(route)
        self._links[name] = Link(
            self._context,
            route.endpoint,
            self._identity,
            on_open=partial(listener.on_open, name),
            on_events=listener.on_events,
            on_broken=partial(listener.on_broken, name),
            on_end=partial(listener.on_route_closed, name),
        )

    def send(self, route: str, message: FromFrontend) -> bool:
        return self._links[route].send(encode(message))

    def drain_events(self, route: str) -> None:
        self._links[route].drain_events()

    def close(self, route: str) -> None:
        self._links.pop(route).close()

    def close_all(self) -> None:
        """Release every socket, and ZeroMQ's threads."""
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._context.term()
