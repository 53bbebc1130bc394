"""One box: a real `ModelQueue` for each model, a real `Residency`, and workers that are made up.

It does what `frontend.dispatch` and `supervisor.residency` ask for, each at the virtual time at
which the real ones would, and holds what they decide against what must be true.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from frontend.dispatch.budget import Budget
from frontend.dispatch.effects import LinkListener
from frontend.dispatch.lane import route_id
from frontend.dispatch.model_queue import ModelQueue
from frontend.dispatch.stream import Stream
from frontend.dispatch.terms import Terms
from ipc.messages.blob import Blob
from ipc.messages.control import ModelDemand
from ipc.messages.errors import ServeError
from ipc.messages.events import Delta, Event
from ipc.messages.jobs import (
    Cancel,
    ChatInput,
    EmbedInput,
    FromFrontend,
    Input,
    Job,
    Message,
    Sampling,
    SpeechInput,
)
from ipc.messages.state import ModelPhase, ModelState, Route
from supervisor.residency.decisions import TURN_S, Decision, Load, Refuse, Residency, Unload
from supervisor.residency.policy import Phase, Policy
from supervisor.residency.resident import RESIDENCE_S
from supervisor.residency.room import Room
from tests.bench.simulation.catalog import Model
from tests.bench.simulation.clock import Clock
from tests.bench.simulation.day import MOST_TOKENS, Asked
from tests.bench.simulation.meter import Meter
from tests.bench.simulation.worker import Worker
from worker.engines.upstream.several.servers import eta_of

# How late the supervisor hears of what clients want, and how often it looks while somebody waits
# for room, or a model may have been idle for long enough.
DEMAND_S = 0.1
WAITS_S = 1.0
IDLE_S = 300.0
# By how much a load may be quicker or slower than the recorded one.
LOADS_WITHIN = 0.2


@dataclass(frozen=True, slots=True)
class End:
    """How a request ended at a box: without an ``error`` it was answered. ``begun_at`` is when a
    worker had it, and ``seen`` whether its client has read a part of the answer."""

    error: ServeError | None
    begun_at: float | None = None
    seen: bool = False


OnEnd = Callable[[End], None]


class BrokenRule(AssertionError):
    """The decisions have done what they must never do."""


@dataclass(slots=True)
class _Open:
    asked: Asked
    stream: Stream
    on_end: OnEnd

    def end(self, error: ServeError | None) -> None:
        stream = self.stream
        self.on_end(End(error, stream.dispatched_at, stream.first_at is not None))


@dataclass(slots=True)
class _Served:
    """One model here: its queue, and its worker while there is one."""

    model: Model
    queue: ModelQueue
    phase: ModelPhase = "unloaded"
    since: float = 0.0
    load_s: float | None = None
    was_ready: bool = False
    refused: str | None = None
    wanted_since: float | None = None  # since when somebody has waited for it without a break
    generation: int = 0
    worker: Worker | None = None
    faulty: list[str] = field(default_factory=list)
    open: dict[str, _Open] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """What has happened in all boxes."""

    loads: int = 0
    loads_by_hour: Counter[int] = field(default_factory=Counter)
    evictions: int = 0
    idle_unloads: int = 0
    refusals: int = 0
    worker_crashes: int = 0
    node_crashes: int = 0
    migrated: int = 0


class Node:
    """The box of this ``number``, with ``budget_mb`` for the models whose files it has."""

    def __init__(
        self,
        number: int,
        models: Sequence[Model],
        budget_mb: int,
        clock: Clock,
        meter: Meter,
        tally: Tally,
        chance: random.Random,
    ) -> None:
        self.number = number
        self.up = True
        self._models = {one.spec.name: one for one in models}
        self._budget_mb = budget_mb
        self._clock = clock
        self._meter = meter
        self._tally = tally
        self._chance = chance
        self._memory = Budget(1 << 40)
        self._boots = 0
        self._boot()

    def _boot(self) -> None:
        self._residency = Residency()
        policies = {name: _policy(model) for name, model in self._models.items()}
        self._residency.set_policies(policies, self._clock.now)
        self._served: dict[str, _Served] = {}
        self._listeners: dict[str, tuple[_Served, LinkListener]] = {}
        self._told: dict[str, ModelDemand] = {}
        self._changed: set[str] = set()
        self._wanted: set[str] = set()  # the models that somebody waits for, as was told last
        self._turn_at = math.inf

    # --- what clients do ---

    def submit(self, asked: Asked, on_end: OnEnd) -> None:
        """Queue a request; ``on_end`` is called once, now or later."""
        served = self._of(asked.model)
        claim = self._memory.open()
        try:
            stream = self._meter(
                "queue",
                served.queue.submit,
                f"r{asked.number}",
                _input(asked),
                1000,
                claim,
                Terms(client=asked.client),
            )
        except ServeError as error:
            claim.release()
            on_end(End(error))
            return
        claim.release()
        served.open[stream.job_id] = _Open(asked, stream, on_end)
        if stream.dispatched_at is None:
            spec = asked.model.spec
            self._later(spec.queue_timeout_s + 1.0, partial(self._tick, served))
            self._settle(served)  # it may have turned others out
        self._change(served, within_s=DEMAND_S if served.queue.has_credit else 0.0)

    def eta_s(self, model: Model) -> float | None:
        """When it would begin a request to the model, as its /health says and `Servers` reads."""
        served = self._of(model)
        eta_s = self._meter("eta", served.queue.facts)["eta_s"]
        queue = {"eta_s": None if math.isnan(eta_s) else eta_s}
        entry = {"name": model.spec.name, "state": served.phase, "queue": queue}
        return eta_of({"models": [entry]}, model.spec.name)

    def has_loaded(self, model: Model) -> bool:
        """Whether a request would find the model ready."""
        served = self._served.get(model.spec.name)
        return served is not None and served.phase == "ready"

    # --- what goes wrong ---

    def crash_worker(self) -> None:
        """One of its workers dies, by chance, and is started anew."""
        ready = [one for one in self._served.values() if one.phase == "ready"]
        if not self.up or not ready:
            return
        served = self._chance.choice(ready)
        assert served.worker is not None
        self._tally.worker_crashes += 1
        served.worker.dead = True
        served.faulty = [route_id(served.worker.route)]
        self._start(served)
        self._later(2.0, partial(self._tick, served))

    def crash(self) -> None:
        """The box is gone, with all that it had in hand."""
        self._tally.node_crashes += 1
        self.up = False
        self._boots += 1
        lost = [one for served in self._served.values() for one in served.open.values()]
        for served in self._served.values():
            if served.worker is not None:
                served.worker.dead = True
        self._boot()
        for one in lost:
            one.end(ConnectionLost())

    def come_back(self) -> None:
        self.up = True

    # --- `frontend.dispatch.effects.Effects` ---

    def now(self) -> float:
        return self._clock.now

    def connect(self, route: Route, listener: LinkListener) -> None:
        name = route_id(route)
        self._listeners[name] = self._served[route.replica], listener
        self._later(0.0, partial(self._opened, name))

    def send(self, route: str, message: FromFrontend) -> bool:
        worker = self._listeners[route][0].worker
        if worker is None or route_id(worker.route) != route:
            raise BrokenRule(f"{route} was sent something and has ended")
        if isinstance(message, Job):
            worker.take(message)
        elif isinstance(message, Cancel):
            raise BrokenRule("nobody gives up a request")
        return True

    def drain_events(self, route: str) -> None:
        self._later(0.0, partial(self._closed, route))

    def close(self, route: str) -> None:
        del self._listeners[route]

    def misbehaved(self, route: Route, why: str) -> None:
        raise BrokenRule(f"{route_id(route)} is to be replaced: {why}")

    def demand(self, models: list[ModelDemand]) -> None:  # noqa: ARG002 - as in `Effects`
        raise BrokenRule("a dispatcher tells what is wanted, and there is none")

    def note(self, event: str, model: str, facts: dict[str, Any]) -> None:
        """Nobody reads events here."""

    def left(self, model: str) -> None:  # noqa: ARG002 - as in `Effects`
        raise BrokenRule("no model leaves the catalog")

    # --- the workers ---

    def _of(self, model: Model) -> _Served:
        """The model as it is served here, from when it is first asked for."""
        served = self._served.get(model.spec.name)
        if served is None:
            queue = ModelQueue(model.spec, self, _nothing, _nothing)
            served = self._served[model.spec.name] = _Served(model, queue)
            self._publish(served)
        return served

    def _start(self, served: _Served) -> None:
        """The next generation of its worker loads."""
        usual_s = served.model.kind.load_s
        load_s = usual_s * self._chance.uniform(1 - LOADS_WITHIN, 1 + LOADS_WITHIN)
        served.worker, served.phase = None, "starting"
        served.since, served.generation = self._clock.now, served.generation + 1
        self._publish(served)
        self._later(load_s, partial(self._ready, served, load_s))

    def _ready(self, served: _Served, load_s: float) -> None:
        spec = served.model.spec
        route = Route(
            replica=spec.name, generation=served.generation, endpoint="", credit=spec.credit
        )
        served.worker = Worker(
            served.model,
            route,
            self._clock,
            lambda job: served.open[job].asked.tokens,
            partial(self._hear, served),
            partial(self._ended, served),
        )
        served.phase, served.since, served.load_s = "ready", self._clock.now, load_s
        served.was_ready = True
        self._publish(served)

    def _drain(self, served: _Served) -> None:
        """What is not begun is queued again, and what is begun is finished."""
        assert served.worker is not None
        served.phase = "draining"
        self._publish(served)
        served.worker.drain()

    def _ended(self, served: _Served) -> None:
        served.worker, served.phase = None, "unloaded"
        self._publish(served)

    def _hear(self, served: _Served, events: Sequence[Event]) -> None:
        assert served.worker is not None
        _, listener = self._listeners[route_id(served.worker.route)]
        self._meter("queue", listener.on_events, events)
        for event in events:
            if not isinstance(event, Delta):
                self._settle_one(served, event.job)
                self._change(served)

    def _opened(self, route: str) -> None:
        if route in self._listeners:
            served, listener = self._listeners[route]
            self._meter("queue", listener.on_open, route, True)
            self._change(served)

    def _closed(self, route: str) -> None:
        served, listener = self._listeners[route]
        self._meter("queue", listener.on_route_closed, route)
        self._settle(served)
        self._change(served)

    def _tick(self, served: _Served) -> None:
        self._meter("queue", served.queue.tick)
        self._settle(served)
        self._change(served)

    # --- the end of requests ---

    def _settle(self, served: _Served) -> None:
        """Tell those whose requests have ended."""
        for job_id in list(served.open):
            self._settle_one(served, job_id)

    def _settle_one(self, served: _Served, job_id: str) -> None:
        opened = served.open.get(job_id)
        if opened is None:
            return
        error = None
        if opened.stream.done is None and (error := _error_of(opened.stream)) is None:
            return
        del served.open[job_id]
        self._tally.migrated += opened.stream.migrations
        opened.end(error)

    # --- who is in memory ---

    def _publish(self, served: _Served) -> None:
        """Tell the queue and the residency how the model's worker stands."""
        worker, loads = served.worker, served.phase == "starting"
        routes = []
        if worker is not None:
            is_open = served.phase == "ready"
            routes = [worker.route if is_open else _closed_route(worker.route)]
        state = ModelState(
            name=served.model.spec.name,
            routes=routes,
            state=served.phase,
            faulty=served.faulty,
            was_ready=served.was_ready,
            loaded=served.model.loaded if served.was_ready else None,
            refused=served.refused,
            load_s=served.load_s,
            load_began_at=served.since if loads else None,
        )
        self._meter("queue", served.queue.set_state, state)
        self._settle(served)
        self._meter(
            "residency",
            self._residency.on_phase,
            served.model.spec.name,
            _PHASES[served.phase],
            self._clock.now,
            served.load_s,
        )
        self._change(served)

    def _change(self, served: _Served, within_s: float = DEMAND_S) -> None:
        """Something has changed that the residency is to hear of."""
        self._changed.add(served.model.spec.name)
        self._turn_within(within_s)

    def _turn_within(self, seconds: float) -> None:
        at = self._clock.now + seconds
        if at < self._turn_at:
            self._turn_at = at
            self._later(seconds, partial(self._turn, at))

    def _turn(self, at: float) -> None:
        """The supervisor's turn: what clients want by now, and what is done about it."""
        if at != self._turn_at:
            return  # an earlier one has come
        self._turn_at = math.inf
        changed, self._changed = sorted(self._changed), set()
        for name in changed:
            self._tell(name)
        for decision in self._meter("residency", self._decide):
            self._do(decision)
        if any(self._served[name].worker is None for name in self._wanted):
            self._turn_within(WAITS_S)
        elif self._held_mb():
            self._turn_within(IDLE_S)

    def _tell(self, name: str) -> None:
        served = self._served[name]
        demand = served.queue.demand
        if not demand.waiting:
            self._wanted.discard(name)
            served.wanted_since = None
        elif served.wanted_since is None:
            self._wanted.add(name)
            served.wanted_since = self._clock.now
        if demand != self._told.get(name):
            self._told[name] = demand
            self._meter("residency", self._residency.on_demand, demand, self._clock.now)

    def _decide(self) -> list[Decision]:
        return self._residency.decide(self._look, self._clock.now)

    def _look(self, _device: str) -> Room:
        return Room(self._budget_mb - self._held_mb(), self._budget_mb)

    def _held_mb(self) -> int:
        held = (one for one in self._served.values() if one.phase != "unloaded")
        return sum(one.model.kind.memory_mb for one in held)

    def _do(self, decision: Decision) -> None:
        served = self._of(self._models[decision.model])
        match decision:
            case Load():
                if served.phase != "unloaded":
                    raise BrokenRule(f"{decision.model} is loaded while it is {served.phase}")
                self._tally.loads += 1
                self._tally.loads_by_hour[int(self._clock.now // 3600)] += 1
                served.refused = None
                self._start(served)
                if self._held_mb() > self._budget_mb:
                    raise BrokenRule(f"{self._held_mb()} MB of {self._budget_mb} are taken")
            case Unload(whom=whom):
                self._check_victim(served, whom)
                self._tally.evictions += whom is not None
                self._tally.idle_unloads += whom is None
                self._drain(served)
            case Refuse(why=why, seconds=seconds):
                self._tally.refusals += 1
                served.refused = why
                self._publish(served)
                self._later(seconds, partial(self._unrefuse, served))
            case _:
                raise BrokenRule(f"{decision} was to be expected of nobody")

    def _unrefuse(self, served: _Served) -> None:
        if served.refused is not None:
            served.refused = None
            self._publish(served)

    def _check_victim(self, served: _Served, whom: str | None) -> None:
        """None leaves that loads or was just loaded, nor while it works, but for one who has waited
        for long."""
        name, now = served.model.spec.name, self._clock.now
        if served.phase != "ready" or now - served.since < (RESIDENCE_S if whom else 0.0):
            raise BrokenRule(f"{name} leaves, {served.phase} for {now - served.since:.1f} s")
        told = self._told[name]
        if not told.waiting and not told.in_hand:
            return
        wanted_since = self._served[whom].wanted_since if whom else None
        if wanted_since is None or now - wanted_since < TURN_S:
            raise BrokenRule(f"{name} is busy and leaves for {whom}, wanted since {wanted_since}")
        served.wanted_since = now if told.waiting else None  # it has had its turn

    def _later(self, seconds: float, happening: Callable[[], None]) -> None:
        """Unless the box is gone by then."""
        self._clock.after(seconds, partial(self._happen, self._boots, happening))

    def _happen(self, boots: int, happening: Callable[[], None]) -> None:
        if boots == self._boots:
            happening()


class ConnectionLost(ServeError):
    """What a client's HTTP library says of a box that is gone."""

    def __init__(self) -> None:
        super().__init__("the connection was lost")


_PHASES: dict[ModelPhase, Phase] = {
    "unloaded": "out",
    "starting": "loading",
    "ready": "in",
    "draining": "leaving",
}


def _policy(model: Model) -> Policy:
    return Policy(
        always=False, idle_s=model.spec.idle_unload_s, need_mb=model.kind.memory_mb, measured=True
    )


def _input(asked: Asked) -> Input:
    """Each is another one, as those of clients are: who repeats what crashed is suspected."""
    match asked.model.kind.task:
        case "chat":
            text = f"{asked.number:0100}"
            sampling = Sampling(max_tokens=MOST_TOKENS)
            return ChatInput(messages=[Message("user", text)], sampling=sampling)
        case "embed":
            return EmbedInput(texts=[f"{asked.number:088}"])
        case _:
            return SpeechInput(audio=Blob(asked.number.to_bytes(8) + bytes(92)))


def _closed_route(route: Route) -> Route:
    return Route(
        replica=route.replica,
        generation=route.generation,
        endpoint="",
        credit=route.credit,
        open=False,
    )


def _error_of(stream: Stream) -> ServeError | None:
    """What a reader is told who would not wait; None where it would have to."""
    while True:
        try:
            stream.next().send(None)
        except StopIteration:
            continue  # some of its answer
        except ServeError as error:
            return error
        except RuntimeError:
            return None  # to wait takes a loop, and here is none


def _nothing() -> None:
    """Connections and readers are nobody's business here."""
