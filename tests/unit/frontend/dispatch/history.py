"""Histories of the dispatcher: literal lists of what happens and of what it does.

A step is a pair: what happens, in words, and everything that the dispatcher does about it, in its
order. Workers are named by their routes: ``w.2`` is generation 2 of replica ``w``. What clients can
read comes last in a step: ``a: hello``.

    ("start w.1", ["connect w.1"]),      # the supervisor lists a worker; *3 gives it a credit of 3
    ("open w.1", []),                    # its connection is there
    ("ask a", ["send a to w.1"]),        # a client asks
    ("done a", ["a: done"]),             # a worker says that the job has ended
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from frontend.dispatch.budget import Budget
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.effects import LinkListener
from frontend.dispatch.lane import route_id
from frontend.dispatch.stream import Stream
from ipc.messages.blob import Blob
from ipc.messages.errors import InternalError, ServeError
from ipc.messages.events import Delta, Done, EmbedResult, Event, Failed, Piece, Usage
from ipc.messages.jobs import EmbedInput, FromFrontend, Job
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState, ReplicaState, Route
from ipc.transport.wire import WireError

SPEC = Spec(
    name="m",
    task="embed",
    engine="echo",
    path="",
    queue_limit=2,
    queue_timeout_s=60.0,
    request_timeout_s=600.0,
    stall_s=0.5,
)
RESULT = EmbedResult(vectors=Blob(b""), count=0, dimensions=0, usage=Usage())

Step = tuple[str, list[str]]


class World:
    """Effects that only note what they were asked for."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.did: list[str] = []
        self.sent: list[Job] = []
        self.listeners: dict[str, LinkListener] = {}
        self.takes_nothing: set[str] = set()  # routes that a send fails for

    def now(self) -> float:
        return self.time

    def connect(self, route: Route, listener: LinkListener) -> None:
        assert route_id(route) not in self.listeners, "connected twice"
        self.listeners[route_id(route)] = listener
        self.did.append(f"connect {route_id(route)}")

    def send(self, route: str, message: FromFrontend) -> bool:
        assert route in self.listeners, "sent to a worker without a link"
        if not isinstance(message, Job):
            self.did.append(f"cancel {message.job} at {route}")
            return True
        if "huge" in message.id:
            raise WireError("4 GiB")
        if route in self.takes_nothing:
            return False
        again = f", attempt {message.attempt}" if message.attempt > 1 else ""
        self.did.append(f"send {message.id} to {route}{again}")
        self.sent.append(message)
        return True

    def drain_events(self, route: str) -> None:
        self.did.append(f"drain {route}")

    def close(self, route: str) -> None:
        del self.listeners[route]
        self.did.append(f"close {route}")

    def misbehaved(self, route: Route, why: str) -> None:
        self.did.append(f"replace {route_id(route)}: {why}")


class History:
    """A dispatcher of one model, ``m``, that things happen to. ``budget`` counts its claims."""

    def __init__(self, spec: Spec = SPEC) -> None:
        self.world = World()
        self.dispatcher = Dispatcher([spec], self.world)
        self.budget = Budget(1 << 40)
        self.model = spec.name
        self.errors: dict[str, ServeError] = {}
        self._state = ModelState(name=self.model, routes=[], state="starting")
        self._streams: dict[str, Stream] = {}

    def play(self, *history: Step) -> History:
        """Let it happen, and hold what is done against what is written."""
        for happening, expected in history:
            verb, *words = happening.split()
            getattr(self, verb)(*words)
            done, self.world.did = self.world.did, []
            assert [*done, *self._read()] == expected, happening
        return self

    # --- what a supervisor says ---

    def start(self, *names: str) -> None:
        """Workers are ready; a state is published."""
        self._publish([*self._state.routes, *map(_route, names)])

    def closing(self, name: str) -> None:
        """A worker drains: it takes nothing new, and finishes what it has begun."""
        self._publish([_closed(each, name) for each in self._state.routes])

    def grow(self, name: str) -> None:
        """A worker takes more at once."""
        grown = _route(name)
        self._publish(
            [grown if route_id(each) == route_id(grown) else each for each in self._state.routes]
        )

    def end(self, *names: str) -> None:
        """Workers are gone as planned."""
        self._publish([each for each in self._state.routes if route_id(each) not in names])

    def crash(self, *names: str) -> None:
        """Workers are gone by their own doing."""
        self._state = msgspec.structs.replace(self._state, faulty=list(names))
        self.end(*names)

    def fails(self, *reason: str) -> None:
        """The circuit opens."""
        self._publish([], "failed", " ".join(reason))

    def stops(self) -> None:
        self._publish([], "stopped")

    def publish(self) -> None:
        """The same states again."""
        self._publish(self._state.routes, self._state.state)

    def drain(self) -> None:
        self.dispatcher.drain()

    def shut(self) -> None:
        self.dispatcher.close()

    # --- what clients do ---

    def ask(self, name: str, text: str = "") -> None:
        """A request for 300 KiB of memory, of ``text`` or of its own name."""
        claim = self.budget.open()
        claim.add(300 << 10)
        asked = EmbedInput(texts=[text or name])
        spec = self.dispatcher.specs[self.model]
        try:
            stream = self.dispatcher.submit(name, spec, asked, 10, claim)
            self._streams[stream.job_id] = stream
        except ServeError as error:
            self.errors[name] = error
            self.world.did.append(f"{name}: {error.code}")
        claim.release()  # the request's own hold; its job has another

    def leave(self, name: str) -> None:
        self._streams.pop(name).close()

    # --- what workers say ---

    def open(self, name: str) -> None:
        self.world.listeners[name].on_open(name, True)

    def lost(self, name: str) -> None:
        """The connection is not there any more."""
        self.world.listeners[name].on_open(name, False)

    def broken(self, name: str, *why: str) -> None:
        self.world.listeners[name].on_broken(name, " ".join(why))

    def closed(self, name: str) -> None:
        """It is dead, and all that it said has been read."""
        self.world.listeners[name].on_route_closed(name)

    def says(self, job: str, text: str) -> None:
        self._events(Delta(job, text))

    def done(self, *jobs: str) -> None:
        self._events(*(Done(job, RESULT) for job in jobs))

    def failed(self, job: str) -> None:
        self._events(Failed(job=job, error=InternalError("the engine broke").info()))

    def unbegun(self, job: str) -> None:
        """A draining worker has not begun it and will not."""
        error = InternalError("draining").info()
        self._events(Failed(job=job, error=error, began=False))

    # --- and time passes ---

    def wait(self, seconds: str) -> None:
        """So long, then one tick."""
        self.world.time += float(seconds)
        self.dispatcher.tick()

    def ticks(self, count: str) -> None:
        for _ in range(int(count)):
            self.dispatcher.tick()

    def _events(self, *events: Event) -> None:
        listener = next(iter(self.world.listeners.values()))
        listener.on_events(events)

    def _publish(
        self, routes: Sequence[Route], state: ReplicaState = "ready", reason: str | None = None
    ) -> None:
        self._state = msgspec.structs.replace(
            self._state, routes=list(routes), state=state, reason=reason, was_ready=True
        )
        self.dispatcher.set_states([self._state])

    def _read(self) -> list[str]:
        """All that clients can read now."""
        return [line for name in list(self._streams) for line in self._read_one(name)]

    def _read_one(self, name: str) -> list[str]:
        read: list[str] = []
        stream = self._streams[name]
        try:
            while events := _at_once(stream):
                read += [f"{name}: {_said(event)}" for event in events]
        except ServeError as error:
            del self._streams[name]
            self.errors[name] = error
            return [*read, f"{name}: {error.code}"]
        if stream.done is not None:
            del self._streams[name]
        return read


def _at_once(stream: Stream) -> list[Piece | Done]:
    """What its reader gets without waiting. To wait it would need a loop, and here is none."""
    try:
        stream.next().send(None)
    except StopIteration as got:
        return cast("list[Piece | Done]", got.value)
    except RuntimeError:
        return []
    raise AssertionError("it waits")


def _said(event: Piece | Done) -> str:
    if isinstance(event, Done):
        return "done"
    assert isinstance(event, Delta)
    return event.text


def _route(name: str) -> Route:
    name, _, credit = name.partition("*")
    replica, generation = name.split(".")
    return Route(
        replica=replica, generation=int(generation), endpoint="", credit=int(credit or "1")
    )


def _closed(route: Route, name: str) -> Route:
    return msgspec.structs.replace(route, open=False) if route_id(route) == name else route
