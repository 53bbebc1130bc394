"""What the queues do to the world, and what they hear of it: the seam between deciding and doing.

`Dispatcher` and `ModelQueue` decide; whatever they need of sockets, the clock or the supervisor
they ask of one `Effects`. So a history of them is a list of what happens and of what they do, with
no socket, no thread and no waiting. The real one is `frontend.dispatch.links.Links`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ipc.messages.control import ModelDemand
from ipc.messages.events import Event
from ipc.messages.jobs import FromFrontend
from ipc.messages.state import Route


class LinkListener(Protocol):
    """Who is told what comes of a link. Routes are named by `lane.route_id`."""

    def on_open(self, route: str, is_open: bool) -> None:
        """Jobs may be sent from now on, or no longer."""

    def on_events(self, events: Sequence[Event]) -> None:
        """What one step of the worker's engine brought."""

    def on_broken(self, route: str, why: str) -> None:
        """Events of it are lost. Said once; the link stays until it is closed."""

    def on_route_closed(self, route: str) -> None:
        """`Effects.drain_events` has ended: nothing more will come."""


class Effects(Protocol):
    """Links to workers, the clock, and what the supervisor is told."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""

    def connect(self, route: Route, listener: LinkListener) -> None:
        """Open a link to a worker generation; ``listener`` is never called from within."""

    def send(self, route: str, message: FromFrontend) -> bool:
        """False: nothing was sent. Raises `WireError` if ``message`` is too large."""

    def drain_events(self, route: str) -> None:
        """The worker is dead: deliver what it said last, then call ``on_route_closed``, which may
        be before this returns."""

    def close(self, route: str) -> None:
        """Release the link."""

    def misbehaved(self, route: Route, why: str) -> None:
        """Have the supervisor replace this worker."""

    def demand(self, models: list[ModelDemand]) -> None:
        """Tell the supervisor what clients want of each model."""

    def note(self, event: str, model: str, facts: dict[str, Any]) -> None:
        """Have the supervisor tell this among the events of the server."""

    def left(self, model: str) -> None:
        """Tell the supervisor that nothing is held for this model any more."""
