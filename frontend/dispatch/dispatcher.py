"""From requests to workers and back: the effects around each model's `Lane`.

The dispatcher owns the streams (one for each job whose client waits), the lanes and one socket for
each living worker generation. A generation that ends takes its socket with it, so no stale job can
reach the next one and no late event can come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec
import zmq

from frontend.dispatch.budget import Claim
from frontend.dispatch.lane import Lane, Ticket, route_id
from frontend.dispatch.link import Link
from frontend.dispatch.quarantine import Fingerprint, Quarantine, fingerprint
from frontend.dispatch.stream import Stream
from ipc.messages.errors import (
    CircuitOpen,
    DeadlineExceeded,
    Draining,
    InvalidRequest,
    ModelLoading,
    ModelNotFound,
    PoisonRequest,
    QueueFull,
    QueueTimeout,
    ServeError,
    Unavailable,
    WorkerCrashed,
    from_info,
)
from ipc.messages.events import Done, Event, Failed
from ipc.messages.jobs import Cancel, Input, Job, Task
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState, Route
from ipc.tasks import TASKS
from ipc.transport.wire import WireError, encode

logger = logging.getLogger(__name__)

TICK_S = 0.1
# A step that takes longer than `Spec.stall_s` is a hang; a job is dropped between two.
LEAVE_STEPS = 2

# Why a model is not ready that the supervisor calls so.
UNCONNECTED = "this server has no connection to its worker"

OnMisbehaved = Callable[[Route, str], None]


class Dispatcher:
    """Hands jobs to workers in the order they came, within each worker's credit."""

    def __init__(
        self,
        specs: Iterable[Spec],
        identity: str,
        clock: Callable[[], float] = time.monotonic,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.aliases = dict(aliases or {})
        self.draining = False
        self.on_misbehaved: OnMisbehaved = lambda _route, _why: None
        self._identity = identity
        self._clock = clock
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._quarantine = Quarantine()
        self._prints: dict[str, Fingerprint] = {}  # of jobs in hand, where they were needed
        self._lanes = {name: Lane(spec, self._suspected) for name, spec in self.specs.items()}
        self._states = {
            name: ModelState(name=name, routes=[], state="starting") for name in self.specs
        }
        self._streams: dict[str, Stream] = {}
        self._jobs: dict[str, Job] = {}  # every job without its terminal event yet
        self._leaving: dict[str, _Leaving] = {}  # of those, what a worker was told to drop
        self._claims: dict[str, Claim] = {}  # of the same
        self._links: dict[str, Link] = {}
        self._idle = asyncio.Event()
        self._informed = asyncio.Event()
        self._connected = asyncio.Event()  # to every worker that is there

    # --- for the routes ---

    def spec(self, name: str, task: Task) -> Spec:
        """The model called ``name``, by an alias or its own. Raises `ModelNotFound`;
        `InvalidRequest` for another task."""
        spec = self.called(name)
        state = self._states.get(self.aliases.get(name, name))
        if spec is None and state is not None:
            raise Unavailable(f"model {name!r} is not available: {state.reason}")
        if spec is None:
            known = ", ".join([*self.specs, *self.aliases])
            raise ModelNotFound(f"this server has no such model; it has: {known}", param="model")
        if spec.task != task:
            where = TASKS[spec.task].path
            raise InvalidRequest(f"model {name!r} is served at {where}", param="model")
        return spec

    def called(self, name: str) -> Spec | None:
        """The model that has this name or this alias, if it is served."""
        return self.specs.get(self.aliases.get(name, name))

    def only(self, task: Task) -> Spec:
        """The model for ``task``, for requests that name none. Raises `InvalidRequest`."""
        able = [spec for spec in self.specs.values() if spec.task == task]
        if len(able) != 1:
            names = ", ".join(spec.name for spec in able) or "this server has none for it"
            raise InvalidRequest(f"`model` is required; one of: {names}", param="model")
        return able[0]

    def state(self, name: str) -> ModelState:
        state = self._states[name]
        if state.state == "ready" and not self._lanes[name].credit:
            return msgspec.structs.replace(state, state="starting", reason=UNCONNECTED)
        return state

    def unconnected(self) -> set[str]:
        """The models without a worker that jobs could be sent to, whatever the supervisor says."""
        return {name for name, lane in self._lanes.items() if not lane.credit}

    def queues(self) -> dict[str, dict[str, float]]:
        """How full each lane is now."""
        now = self._clock()
        return {
            name: {
                "depth": lane.depth,
                "limit": self.specs[name].queue_limit,
                "bytes": lane.waiting_bytes,
                "in_flight": lane.in_flight,
                "credit": lane.credit,
                "oldest_s": round(lane.oldest_wait_s(now), 3),
            }
            for name, lane in self._lanes.items()
        }

    @property
    def crowded(self) -> bool:
        """Whether any lane is full."""
        return True in [lane.full for lane in self._lanes.values()]

    def is_full(self, name: str, task: Task) -> bool:
        """Whether `submit` would turn away every request for this model, whatever it asks: what a
        lane has no place for would otherwise be told why it has none in a few cases."""
        spec = self.called(name)
        if spec is None or spec.task != task or self.draining or self._quarantine:
            return False
        return self._lanes[spec.name].full

    def turn_away(self, spec: Spec) -> QueueFull:
        """The refusal of a request for a model that `is_full`."""
        return self._lanes[spec.name].turn_away(self._clock())

    def submit(
        self, request_id: str, spec: Spec, asked: Input, size_bytes: int, claim: Claim
    ) -> Stream:
        """Queue a job and return its stream. Raises at once where the model cannot take it.

        ``claim`` is held for as long as the job is, which may outlive its request.
        """
        self._check_open(spec)
        now = self._clock()
        job_id = self._unused(request_id)
        longest_s = spec.queue_timeout_s + spec.request_timeout_s
        job = Job(id=job_id, model=spec.name, input=asked, deadline_at=now + longest_s)
        if (error := self._held(job)) is not None:
            raise error
        lane = self._lanes[spec.name]
        lane.admit(Ticket(job, size_bytes, now))
        self._jobs[job_id] = job
        self._claims[job_id] = claim.hold()
        stream = Stream(job_id, now, lambda _: self._cancel(job), claim)
        self._streams[job_id] = stream
        self._pump(lane)
        return stream

    # --- for the supervisor's messages ---

    def set_states(self, states: Iterable[ModelState]) -> None:
        """The fleet has changed: part with dead workers, open links to new ones."""
        changed = {state.name: state for state in states}
        self._states |= changed
        for name in changed.keys() & self._lanes.keys():
            self._set_routes(self._lanes[name], changed[name])
        self._note_connected()
        self._informed.set()

    async def informed(self, within_s: float) -> bool:
        """Whether the supervisor has said, by then, which workers there are."""
        return await _happens(self._informed, within_s)

    async def connected(self, within_s: float) -> bool:
        """Whether jobs reach, by then, each worker that it has said to be ready."""
        return await _happens(self._connected, within_s)

    async def drain(self, seconds: float) -> None:
        """Accept nothing more; returns when what was accepted has ended, or after ``seconds``."""
        self.draining = True
        self._note_idle()
        await _happens(self._idle, seconds)

    def close(self) -> None:
        """End every job that is left, with an error its client can read."""
        for job_id in list(self._streams):
            self._fail(job_id, Draining("the server stopped before this request was finished"))
        for link in self._links.values():
            link.close()
        self._context.term()

    async def watch(self) -> None:
        """Enforce waiting times and deadlines, for as long as the process runs."""
        while True:
            await asyncio.sleep(TICK_S)
            self._tick()

    # --- inside ---

    def _check_open(self, spec: Spec) -> None:
        state = self._states[spec.name]
        if self.draining:
            raise Draining("the server is stopping", retry_after_s=5.0)
        if state.state == "failed":
            raise _circuit_open(state)
        if state.state == "stopped":
            raise Unavailable(f"model {spec.name!r} is stopped", retry_after_s=60.0)
        # A model that was ready and is being replaced keeps its queue; one that never was has
        # nothing to promise yet.
        if not state.routes and not state.was_ready:
            failed = f"; its last start failed: {state.reason}" if state.reason else ""
            raise ModelLoading(f"model {spec.name!r} is loading{failed}", retry_after_s=5.0)

    def _unused(self, request_id: str) -> str:
        """Clients choose request ids and may repeat them; jobs must not share one."""
        count, job_id = 1, request_id
        while job_id in self._jobs:
            count, job_id = count + 1, f"{request_id}#{count + 1}"
        return job_id

    def _set_routes(self, lane: Lane, state: ModelState) -> None:
        for gone in lane.set_routes(state.routes):
            faulty = gone in state.faulty
            self._links[gone].hear_out(partial(self._bury, lane, gone, faulty))
        for route in state.routes:
            if route_id(route) not in self._links:
                self._links[route_id(route)] = self._connect(lane, route)
        if state.state == "failed":
            for job in lane.clear():
                self._fail(job.id, _circuit_open(state))
        self._pump(lane)

    def _bury(self, lane: Lane, route: str, faulty: bool) -> None:
        """A dead worker has had its last words: what it still held has no outcome but its death."""
        self._links.pop(route).close()
        if lost := lane.lose(route):
            self._on_lost(lane, lost, faulty)
        self._pump(lane)

    def _on_lost(self, lane: Lane, lost: list[Job], faulty: bool) -> None:
        """A worker has gone with what it had. Who may have been the cause is remembered."""
        # Several copies of a request in one crash are still one crash.
        suspects = {self._print(job) for job in lost} if faulty else set()
        for found in suspects:
            self._quarantine.suspect(found, self._clock(), alone=len(suspects) == 1)
        for job in lost:
            gone = WorkerCrashed(
                f"the worker of model {job.model!r} stopped while it worked on this request",
                retry_after_s=1.0,
            )
            self._fail(job.id, self._held(job) or gone)
        for job in lane.waiting():  # repeats of the same request
            if (error := self._held(job)) is not None:
                lane.cancel(job.id)
                self._fail(job.id, error)

    def _print(self, job: Job) -> Fingerprint:
        found = self._prints.get(job.id) or fingerprint(job)
        if job.id in self._jobs:
            self._prints[job.id] = found
        return found

    def _suspected(self, job: Job) -> bool:
        return bool(self._quarantine) and self._quarantine.suspects(self._print(job))

    def _held(self, job: Job) -> PoisonRequest | None:
        if not self._quarantine:
            return None
        return self._quarantine.held(self._print(job), self._clock())

    def _connect(self, lane: Lane, route: Route) -> Link:
        return Link(
            self._context,
            route.endpoint,
            self._identity,
            on_open=lambda is_open: self._on_open(lane, route, is_open),
            on_events=lambda events: self._on_events(lane, events),
            on_broken=lambda why: self._on_broken(route, why),
        )

    def _on_open(self, lane: Lane, route: Route, is_open: bool) -> None:
        lane.set_connected(route_id(route), is_open)
        self._note_connected()
        self._pump(lane)

    def _note_connected(self) -> None:
        if all(lane.connected for lane in self._lanes.values()):
            self._connected.set()
        else:
            self._connected.clear()

    def _on_broken(self, route: Route, why: str) -> None:
        logger.error("worker_misbehaved", extra={"worker": route_id(route), "why": why})
        self.on_misbehaved(route, why)

    def _pump(self, lane: Lane) -> None:
        """Hand over jobs while any worker has credit."""
        while (pair := lane.take(self._clock())) is not None:
            job, route = pair
            stream = self._streams.get(job.id)
            if stream is not None:
                stream.dispatched_at = self._clock()
            self._send(lane, job, route)

    def _send(self, lane: Lane, job: Job, route: Route) -> None:
        # The wait had a limit of its own; from here on the job has its time to be worked on.
        limit_s = self.specs[job.model].request_timeout_s
        job = msgspec.structs.replace(job, deadline_at=self._clock() + limit_s)
        if job.id in self._jobs:
            self._jobs[job.id] = job
        try:
            frames = encode(job)
        except WireError as error:
            lane.end(job.id, self._clock())
            self._fail(job.id, InvalidRequest(f"the request is too large: {error}"))
            return
        if not self._links[route_id(route)].send(frames):
            lane.end(job.id, self._clock())
            self._fail(job.id, WorkerCrashed("the worker takes no requests", retry_after_s=1.0))

    def _on_events(self, lane: Lane, events: list[Event]) -> None:
        now = self._clock()
        for event in events:
            self._on_event(lane, event, now)
        self._pump(lane)

    def _on_event(self, lane: Lane, event: Event, now: float) -> None:
        if isinstance(event, Failed):
            if not event.began and event.job in self._streams and lane.give_back(event.job):
                return
            lane.end(event.job, now)
            self._fail(event.job, from_info(event.error))
            return
        stream = self._streams.get(event.job)
        if stream is not None:
            stream.push(event, now)
        if isinstance(event, Done):
            lane.end(event.job, now)
            if self._quarantine and (job := self._jobs.get(event.job)) is not None:
                self._quarantine.clear(self._print(job))
            self._forget(event.job)

    def _cancel(self, job: Job) -> None:
        """The reader left. Credit comes back with the worker's terminal event."""
        self._streams.pop(job.id, None)
        self._note_idle()
        route = self._lanes[job.model].cancel(job.id)
        if route is None:
            self._forget(job.id)
        elif (link := self._links.get(route)) is not None:
            link.send(encode(Cancel(job.id)))
            self._leaving[job.id] = _Leaving(job.model, route)

    def _fail(self, job_id: str, error: ServeError) -> None:
        stream = self._streams.get(job_id)
        self._forget(job_id)
        if stream is not None:
            stream.fail(error)

    def _forget(self, job_id: str) -> None:
        self._streams.pop(job_id, None)
        self._jobs.pop(job_id, None)
        self._leaving.pop(job_id, None)
        if (claim := self._claims.pop(job_id, None)) is not None:
            claim.release()
        self._prints.pop(job_id, None)
        self._note_idle()

    def _note_idle(self) -> None:
        if self.draining and not self._streams:
            self._idle.set()

    def _tick(self) -> None:
        now = self._clock()
        self._quarantine.forget(now)
        for lane in self._lanes.values():
            for job in lane.expired(now):
                error = QueueTimeout(
                    "the request waited too long for a free place; the server is overloaded",
                    retry_after_s=lane.retry_after_s(),
                )
                self._fail(job.id, error)
            if self._quarantine:
                self._pump(lane)  # whoever waited so that a suspect could run alone
        for job in [job for job in self._jobs.values() if job.deadline_at <= now]:
            self._expire(job)
        for job_id, leaving in list(self._leaving.items()):
            self._miss(job_id, leaving)

    def _miss(self, job_id: str, leaving: _Leaving) -> None:
        """A worker ends what it was told to drop within a step. One that does not say so keeps the
        job's place for good, so it is replaced. Counted in ticks: a pause of ours is not its."""
        leaving.ticks += 1
        patience_s = LEAVE_STEPS * self.specs[leaving.model].stall_s
        if leaving.ticks * TICK_S < patience_s:
            return
        del self._leaving[job_id]
        for route in self._states[leaving.model].routes:
            if route_id(route) == leaving.route:
                self._on_broken(route, f"it ended no job that was dropped {patience_s:.0f} s ago")

    def _expire(self, job: Job) -> None:
        stream = self._streams.get(job.id)
        if stream is None:
            return
        limit_s = self.specs[job.model].request_timeout_s
        self._cancel(job)
        stream.fail(DeadlineExceeded(f"the request took longer than its limit of {limit_s:g} s"))


@dataclass(slots=True)
class _Leaving:
    """A job that the worker at ``route`` was told to drop so many ticks ago."""

    model: str
    route: str
    ticks: int = 0


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
    return event.is_set()


def _circuit_open(state: ModelState) -> CircuitOpen:
    return CircuitOpen(
        f"model {state.name!r} is not available: {state.reason or 'see /health'}",
        retry_after_s=state.retry_after_s or 60.0,
    )
