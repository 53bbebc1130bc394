"""Histories of the dispatcher: literal lists of what happens and of what it does.

A step is a pair: what happens, in words, and everything that the dispatcher does about it, in its
order. Workers are named by their routes: ``w.2`` is generation 2 of replica ``w``. What clients can
read comes last in a step: ``a: hello``.

    ("start w.1", ["connect w.1"]),      # the supervisor lists a worker; *3 gives it a credit of 3
    ("open w.1", []),                    # its connection is there
    ("ask a", ["send a to w.1"]),        # a client asks
    ("done a", ["a: done"]),             # a worker says that the job has ended

The model is ``m``, and all workers are its own but those that are called as their model is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from frontend.dispatch.budget import Budget
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.effects import LinkListener
from frontend.dispatch.lane import route_id
from frontend.dispatch.stream import Stream
from frontend.dispatch.terms import PLAIN, Terms
from ipc.messages.blob import Blob
from ipc.messages.control import ModelDemand
from ipc.messages.errors import CancelledByOperator, InternalError, ServeError
from ipc.messages.events import (
    Consumed,
    Delta,
    Done,
    EmbedResult,
    Event,
    Failed,
    Listened,
    Piece,
    Prefilled,
    Usage,
)
from ipc.messages.jobs import EmbedInput, FromFrontend, Input, Job, More
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState, Route
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
        self.carriers: dict[str, str] = {}  # the route that each job was sent to last
        self.takes_nothing: set[str] = set()  # routes that a send fails for
        self.events: list[tuple[str, str, dict[str, Any]]] = []  # asked for by tests of them alone
        self.demanded: list[ModelDemand] = []  # what the supervisor was told last
        self.notes_demand = False  # only tests about that ask for it

    def now(self) -> float:
        return self.time

    def connect(self, route: Route, listener: LinkListener) -> None:
        assert route_id(route) not in self.listeners, "connected twice"
        self.listeners[route_id(route)] = listener
        self.did.append(f"connect {route_id(route)}")

    def send(self, route: str, message: FromFrontend) -> bool:
        assert route in self.listeners, "sent to a worker without a link"
        if isinstance(message, More):
            end = ", the last" if message.last else ""
            self.did.append(f"piece {message.number} of {message.job} to {route}{end}")
            return True
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
        self.carriers[message.id] = route
        return True

    def drain_events(self, route: str) -> None:
        self.did.append(f"drain {route}")

    def close(self, route: str) -> None:
        del self.listeners[route]
        self.did.append(f"close {route}")

    def misbehaved(self, route: Route, why: str) -> None:
        self.did.append(f"replace {route_id(route)}: {why}")

    def note(self, event: str, model: str, facts: dict[str, Any]) -> None:
        self.events.append((event, model, facts))

    def left(self, model: str) -> None:
        self.did.append(f"left {model}")

    def demand(self, models: list[ModelDemand]) -> None:
        self.demanded = models
        if self.notes_demand:
            self.did += [
                f"{one.name}: {one.waiting} wait, {one.in_hand} in hand, of {one.jobs}"
                + ("" if one.keep_s is None else f", kept {one.keep_s:g} s")
                + (f", for {one.wait_s} s" if one.wait_s else "")
                for one in models
            ]


class History:
    """A dispatcher that things happen to. ``budget`` counts its claims."""

    def __init__(self, spec: Spec = SPEC) -> None:
        self.world = World()
        self.dispatcher = Dispatcher([spec], self.world)
        self.task = spec.task
        self.budget = Budget(1 << 40)
        self.errors: dict[str, ServeError] = {}
        self.states = {"m": ModelState(name="m", routes=[], state="starting")}
        self._streams: dict[str, Stream] = {}
        self.load_s: dict[str, float] = {}  # how long each waited for its model to be loaded

    def play(self, *history: Step) -> History:
        """Let it happen, and hold what is done against what is written."""
        for happening, expected in history:
            verb, *words = happening.split()
            getattr(self, verb)(*words)
            done, self.world.did = self.world.did, []
            told = [*done, *self._read()]
            assert told == expected, f"{happening}: {told}"
        return self

    # --- what a supervisor says ---

    def models(self, *names: str) -> None:
        """These are to be served from now on."""
        self.serve(*(msgspec.structs.replace(SPEC, name=name) for name in names))

    def serve(self, *specs: Spec) -> None:
        for spec in specs:
            starting = ModelState(name=spec.name, routes=[], state="starting")
            self.states.setdefault(spec.name, starting)
        self.dispatcher.set_models(specs)

    def forget(self, name: str) -> None:
        """The supervisor lists a model no more."""
        del self.states[name]
        self.publish()

    def start(self, *names: str) -> None:
        """Workers are ready; a state is published."""
        for route in map(_route, names):
            state = self._state_of(route.replica)
            self._set(state, routes=[*state.routes, route], state="ready", was_ready=True)
        self.publish()

    def closing(self, name: str) -> None:
        """A worker drains: it takes nothing new, and finishes what it has begun."""
        self._change(name, lambda route: msgspec.structs.replace(route, open=False))

    def grow(self, name: str) -> None:
        """A worker takes more at once."""
        self._change(name, lambda _: _route(name))

    def end(self, *names: str) -> None:
        """Workers are gone as planned."""
        for route in map(_route, names):
            state = self._state_of(route.replica)
            left = [each for each in state.routes if route_id(each) != route_id(route)]
            self._set(state, routes=left)
        self.publish()

    def crash(self, *names: str) -> None:
        """Workers are gone by their own doing."""
        for name in names:
            self._set(self._state_of(_route(name).replica), faulty=[name])
        self.end(*names)

    def fails(self, *reason: str) -> None:
        """The circuit opens."""
        self._set(self.states["m"], routes=[], state="failed", reason=" ".join(reason))
        self.publish()

    def stops(self) -> None:
        self._set(self.states["m"], routes=[], state="stopped")
        self.publish()

    def drains(self) -> None:
        """An operator wants the model to take nothing new."""
        self._set(self.states["m"], drained=True)
        self.publish()

    def resumes(self) -> None:
        self._set(self.states["m"], drained=False)
        self.publish()

    def publish(self) -> None:
        """All states, whether one has changed or not."""
        self.dispatcher.set_states(list(self.states.values()))

    def drain(self) -> None:
        self.dispatcher.drain()

    def shut(self) -> None:
        self.dispatcher.close()

    # --- what clients do ---

    def batch(self, name: str) -> None:
        """A line of a batch, which runs in the background."""
        self.ask(name, terms=Terms(background=True))

    def ask_by(self, client: str, *names: str) -> None:
        """One client's requests."""
        for name in names:
            self.ask(name, terms=Terms(client=client))

    def keep(self, name: str, seconds: str) -> None:
        """A request that wants the model kept for so long."""
        self.ask(name, terms=Terms(keep_alive_s=float(seconds)))

    def ask_if_loaded(self, name: str) -> None:
        """A request for which no model is to be loaded."""
        self.ask(name, terms=Terms(autoload=False))

    def ask(self, name: str, text: str = "", model: str = "m", *, terms: Terms = PLAIN) -> None:
        """A request for 300 KiB of memory, of ``text`` or of its own name."""
        claim = self.budget.open()
        claim.add(300 << 10)
        asked = self.text(text or name)
        try:
            spec = self.dispatcher.spec(model, self.task)
            stream = self.dispatcher.submit(name, spec, asked, 10, claim, terms)
            self._streams[stream.job_id] = stream
        except ServeError as error:
            self.errors[name] = error
            self.world.did.append(f"{name}: {error.code}")
        claim.release()  # the request's own hold; its job has another

    def text(self, text: str) -> Input:
        return EmbedInput(texts=[text])

    def ask_of(self, model: str, name: str) -> None:
        self.ask(name, model=model)

    def stream(self, name: str) -> Stream:
        """That of a client that still reads."""
        return self._streams[name]

    def leave(self, name: str) -> None:
        self._streams.pop(name).close()

    def cancels(self, name: str) -> None:
        """An operator ends what is made for this client."""
        self._streams[name].abort(CancelledByOperator("an operator has cancelled it"))

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

    def reads(self, job: str, read: str, of: str, left_s: str) -> None:
        """How far a prompt has been read, and how long the rest of it should take."""
        self._events(Prefilled(job, int(read), int(of), float(left_s)))

    def uses(self, job: str, pieces: str) -> None:
        """So many pieces of a job's input."""
        self._events(Consumed(job, int(pieces)))

    def hears(self, job: str, heard_s: str, audio_s: str, left_s: str) -> None:
        """How far a recording has been heard, and how long the rest of it should take."""
        self._events(Listened(job, float(heard_s), float(audio_s), float(left_s)))

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
        carrier = self.world.carriers[events[0].job]
        listeners = self.world.listeners
        listeners.get(carrier, next(iter(listeners.values()))).on_events(events)

    def _state_of(self, replica: str) -> ModelState:
        return self.states[replica if replica in self.states else "m"]

    def _set(self, model: ModelState, /, **changes: Any) -> None:
        self.states[model.name] = msgspec.structs.replace(model, **changes)

    def _change(self, name: str, change: Callable[[Route], Route]) -> None:
        wanted = _route(name)
        state = self._state_of(wanted.replica)
        routes = [
            change(each) if route_id(each) == route_id(wanted) else each for each in state.routes
        ]
        self._set(state, routes=routes)
        self.publish()

    def _read(self) -> list[str]:
        """All that clients can read now."""
        return [line for name in list(self._streams) for line in self._read_one(name)]

    def _read_one(self, name: str) -> list[str]:
        read: list[str] = []
        stream = self._streams[name]
        self.load_s[name] = stream.load_s
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
