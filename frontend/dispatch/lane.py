"""One model's queue: who waits, who runs where, and who must be rejected.

A lane decides and does nothing: no socket, no clock, no task. Each call takes the time and returns
what to do, so its behaviour is tested with literal histories. It is the only long queue in the
system, bounded in requests, in bytes and in waiting time; a worker holds no more than its credit.

Clients take turns, see `frontend.dispatch.fair`.

Background jobs have a queue of their own. They run while the model has no live job at all: a step
that writes for several takes longer than one that writes for one, so each of them would be felt
between two tokens of a live answer. When a live job comes, those that run are given up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from frontend.dispatch.fair.waiting import FairWaiting
from frontend.dispatch.waiting import Ticket, Waiting
from ipc.messages.errors import QueueFull
from ipc.messages.jobs import Job
from ipc.messages.spec import Spec
from ipc.messages.state import Route

RETRY_AFTER_MIN_S = 1.0
RETRY_AFTER_MAX_S = 60.0
# How long others may have to wait so that a job runs alone: until its worker is empty, and then as
# long again beside it.
ALONE_S = 1.0
# A job refused unbegun by one draining worker after another is given up at this many tries.
MAX_ATTEMPTS = 3
# How long a model has no live job until background jobs run: whoever asks one thing after the other
# finds it free, and does not have the same lines begun and given up between any two.
QUIET_S = 0.5
# Of one model. Whoever sends them holds back by itself.
BACKGROUND_LIMIT = 256


@dataclass(slots=True)
class _Worker:
    route: Route
    used: int = 0
    background: int = 0  # of those it holds; each is given up before it keeps a live job waiting
    guest: str | None = None  # the job that it should have for itself
    lent_until: float = -math.inf  # nobody is let in beside that one before
    lent: bool = False
    connected: bool = False

    @property
    def credit(self) -> int:
        return self.route.credit if self.route.open and self.connected else 0

    @property
    def free(self) -> int:
        return 0 if self.lent else max(0, self.credit - self.used)

    @property
    def places(self) -> int:
        """For how many more live jobs it has a place, at once or a step from now."""
        return 0 if self.lent else max(0, self.credit - self.used + self.background)


@dataclass(frozen=True, slots=True)
class _Running:
    ticket: Ticket
    worker: _Worker


def _bounded(wait_s: float) -> float:
    return min(max(wait_s, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)


def route_id(route: Route) -> str:
    """A route's name, unique over all generations."""
    return f"{route.replica}.{route.generation}"


class Lane:
    """The jobs of one model, from admission to their terminal event.

    ``alone`` says of a job whether it should have a worker for itself. Others wait for that no
    longer than `ALONE_S`; with another such job it never shares a worker. ``beside`` says whether
    other models of the same device have live work: no background job begins meanwhile. ``pace_s``
    is the time from one job's end to the next one's, when all workers are busy.
    """

    def __init__(
        self,
        spec: Spec,
        alone: Callable[[Job], bool] = lambda _: False,
        beside: Callable[[], bool] = lambda: False,
        pace_s: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._pace_s = pace_s
        self._alone = alone
        self._beside = beside
        self._model = spec.name
        self.set_limits(spec)
        self._waiting = FairWaiting()
        self._background = Waiting()
        self._running: dict[str, _Running] = {}
        self._background_running = 0
        self._yielding: dict[str, None] = {}  # those of them that are not given up yet
        self._live_at = -math.inf  # when a live job was last here
        self._alone_since: dict[str, float] = {}  # of waiting jobs for which a worker is emptied
        self._workers: dict[str, _Worker] = {}
        self._appointed_to = 0.0  # places up to this time are promised to those that were rejected

    def set_limits(self, spec: Spec) -> None:
        """Jobs that come from now on have these limits; those that wait keep their places."""
        self._limit = spec.queue_limit
        self._limit_bytes = spec.queue_bytes
        self._slots = spec.slots

    @property
    def depth(self) -> int:
        """Live jobs that wait here."""
        return len(self._waiting)

    @property
    def background(self) -> int:
        """Background jobs that wait here."""
        return len(self._background)

    @property
    def waiting_bytes(self) -> int:
        return self._waiting.size_bytes

    @property
    def in_flight(self) -> int:
        """Jobs that a worker holds."""
        return len(self._running)

    @property
    def held(self) -> dict[str, int]:
        """How many jobs each worker holds that has any, by `route_id`."""
        return {name: one.used for name, one in self._workers.items() if one.used}

    @property
    def credit(self) -> int:
        """How many jobs the workers may hold that take jobs now."""
        return sum([worker.credit for worker in self._workers.values()])

    @property
    def slots(self) -> int:
        """On how many jobs these workers work at once."""
        return sum([min(self._slots, worker.credit) for worker in self._workers.values()])

    @property
    def connected(self) -> bool:
        """Whether jobs reach every worker that should take some."""
        return all(worker.connected for worker in self._workers.values() if worker.route.open)

    @property
    def full(self) -> bool:
        """Whether no job has a place, however small. Credit that is free counts as places."""
        return len(self._waiting) >= self._most

    @property
    def _most(self) -> int:
        """How many may wait, those counted that a worker could take."""
        return self._limit + sum([worker.places for worker in self._workers.values()])

    def oldest_wait_s(self, now: float) -> float:
        first_at = self._waiting.oldest_at()
        return now - first_at if first_at is not None else 0.0

    def ahead_of(self, job_id: str) -> int | None:
        """How many of the jobs that wait are to be handed over before this one; None where it does
        not wait here. One in the background has all live ones before it."""
        if job_id in self._waiting:
            return self._waiting.ahead_of(job_id)
        if job_id in self._background:
            return self.depth + self._background.ahead_of(job_id)
        return None

    def retry_after_s(self) -> float:
        """When a place should be free: the queue's length times the time that each job takes."""
        return _bounded(self.depth * self._pace_s())

    def _appoint(self, now: float) -> float:
        """When to come back: staggered, so that rejected clients do not all return at once."""
        pace_s = self._pace_s()
        drained_at = now + self.depth * pace_s
        latest = now + RETRY_AFTER_MAX_S
        self._appointed_to = min(max(drained_at, self._appointed_to + pace_s), latest)
        return _bounded(self._appointed_to - now)

    def admit(self, ticket: Ticket) -> list[Job]:
        """Queue a job. Returns those that had to make room: they have left the lane. Raises
        `QueueFull` where it would exceed the lane's bounds, and its client has its share of them.

        A job that a worker can take at once never counts against the queue, nor does one that runs
        in the background.
        """
        if ticket.background:
            if self.background >= BACKGROUND_LIMIT:
                raise QueueFull(f"model {self._model!r} has enough to do in the background")
            self._background.push(ticket)
            return []
        turned_out = self._waiting.room_for(ticket, self._most, self._limit_bytes)
        if turned_out is None:
            raise self.reject(ticket.queued_at)
        if not self.is_live:
            self._appointed_to = 0.0  # who was told to come again by now has come, or will not
            self._waiting.forgive()
        jobs = [self._pop(each.job.id).job for each in turned_out]
        self._waiting.push(ticket)
        return jobs

    def reject(self, now: float) -> QueueFull:
        """The refusal of one more job, with an appointment in it."""
        return QueueFull(
            f"model {self._model!r} has {self.depth} requests waiting, as many as it may; try "
            "again after the time in Retry-After, or raise its queue limit",
            retry_after_s=self._appoint(now),
        )

    def take(self, now: float) -> tuple[Job, Route] | None:
        """The next job to hand over, and the worker with the most room for it."""
        for worker in self._workers.values():
            worker.lent = worker.guest is not None and now < worker.lent_until
        return self._take_live(now) or self._take_background(now)

    def give_way(self, now: float) -> list[str]:
        """The background jobs that run and must be given up, since there is live work. Each is said
        once, and keeps its credit until its terminal event."""
        if not self.is_live:
            return []
        self._live_at = now
        given_up, self._yielding = list(self._yielding), {}
        return given_up

    @property
    def is_live(self) -> bool:
        """Whether a live job waits or runs."""
        return bool(self._waiting) or len(self._running) > self._background_running

    def _take_live(self, now: float) -> tuple[Job, Route] | None:
        kept: set[str] = set()  # routes of workers that are to become empty
        for ticket in self._waiting:
            alone = self._alone(ticket.job)
            found = self._emptiest(kept) if alone else self._roomiest(kept)
            if found is None and not alone:
                return None  # nor has anybody after it a place
            if found is None:
                continue
            if alone and found.used and now < self._begin_wait(ticket.job.id, now) + ALONE_S:
                kept.add(route_id(found.route))
            elif found.free > 0:
                return self._hand_over(ticket, found, alone, now)
        return None

    def _take_background(self, now: float) -> tuple[Job, Route] | None:
        """One at a time in their order. A suspect waits for an empty worker; as nothing overtakes
        it, there will be one."""
        ticket = next(iter(self._background), None)
        if ticket is None or self.is_live or now < self._live_at + QUIET_S or self._beside():
            return None
        alone = self._alone(ticket.job)
        most = 1 if alone else self._slots
        fit = [
            one
            for one in self._workers.values()
            if one.guest is None and one.used < min(most, one.credit)
        ]
        found = min(fit, key=lambda one: one.used, default=None)
        return self._hand_over(ticket, found, alone, now) if found is not None else None

    def _roomiest(self, kept: Collection[str]) -> _Worker | None:
        """The worker with the most room, where one has any."""
        fit = [one for name, one in self._workers.items() if one.free > 0 and name not in kept]
        return max(fit, key=lambda one: one.free, default=None)

    def _emptiest(self, kept: Collection[str]) -> _Worker | None:
        """The worker that is empty, or soonest will be, and has no guest yet."""
        fit = [
            one
            for name, one in self._workers.items()
            if one.credit and one.guest is None and name not in kept
        ]
        return min(fit, key=lambda one: one.used, default=None)

    def _begin_wait(self, job_id: str, now: float) -> float:
        """Since when others wait so that this job can run alone."""
        return self._alone_since.setdefault(job_id, now)

    def _hand_over(
        self, ticket: Ticket, worker: _Worker, alone: bool, now: float
    ) -> tuple[Job, Route]:
        self._alone_since.pop(ticket.job.id, None)
        self._queue_of(ticket).take(ticket.job.id)
        if alone:
            worker.guest = ticket.job.id
        if ticket.background:
            worker.background += 1
            self._background_running += 1
            self._yielding[ticket.job.id] = None
        elif alone:
            worker.lent_until = now if worker.used else now + ALONE_S
            worker.lent = not worker.used
        worker.used += 1
        self._running[ticket.job.id] = _Running(ticket, worker)
        return ticket.job, worker.route

    def end(self, job_id: str, now: float, cost: float | None = None) -> Ticket | None:
        """A job's terminal event has come: its credit returns, and it may `go_on`. ``cost`` is what
        it took, where that is told, see `frontend.dispatch.fair.cost`. Unknown ids are ignored."""
        running = self._leave(job_id)
        if running is not None and not running.ticket.background:
            if cost is not None:
                self._waiting.learn(running.ticket.terms.client, cost)
            self._live_at = now
        return running.ticket if running is not None else None

    def requeue(self, job_id: str) -> bool:
        """A worker refused a job that it had not begun: queue it again, in front of the others.

        False where the job has been tried too often; it is then gone from the lane.
        """
        running = self._leave(job_id)
        if running is None or running.ticket.job.attempt >= MAX_ATTEMPTS:
            return False
        self._queue_of(running.ticket).push_in_front(running.ticket.again())
        return True

    def cancel(self, job_id: str) -> str | None:
        """Nobody waits for a job any more. One that is queued is never dispatched; one that runs
        keeps its credit until its terminal event: returns the route to tell."""
        if job_id in self._waiting or job_id in self._background:
            self._pop(job_id)
            return None
        self._yielding.pop(job_id, None)
        running = self._running.get(job_id)
        return route_id(running.worker.route) if running else None

    def expired(self, now: float) -> list[Job]:
        """The jobs that have waited too long; they leave the lane."""
        late = [
            ticket.job.id
            for ticket in self._waiting.in_any_order()
            if now - ticket.queued_at > ticket.max_wait_s
        ]
        return [self._pop(job_id).job for job_id in late]

    def clear(self) -> list[Job]:
        """Every waiting job leaves the lane: the model will not serve them."""
        return [self._pop(job.id).job for job in self.waiting()]

    def waiting(self) -> list[Job]:
        """The jobs that wait, in their order."""
        return [ticket.job for ticket in (*self._waiting, *self._background)]

    def set_routes(self, routes: Iterable[Route]) -> list[str]:
        """The model's living workers are now these. Returns the routes that are no longer among
        them: they take nothing more, and what they hold is theirs until `remove`."""
        before, self._workers = self._workers, {}
        for route in routes:
            worker = self._workers[route_id(route)] = before.pop(route_id(route), _Worker(route))
            worker.route = route
        return list(before)

    def set_connected(self, route: str, connected: bool) -> None:
        """Jobs reach this worker from now on, or no longer. One that is gone is ignored."""
        worker = self._workers.get(route)
        if worker is not None:
            worker.connected = connected

    def carrier(self, job_id: str) -> str | None:
        """The route of the worker that has this job; None: it waits, or has ended."""
        running = self._running.get(job_id)
        return route_id(running.worker.route) if running else None

    def held_by(self, route: str) -> list[str]:
        """The jobs that this worker has."""
        return [
            job_id for job_id, run in self._running.items() if route_id(run.worker.route) == route
        ]

    def remove(self, route: str) -> list[Ticket]:
        """Nothing more will come of a dead worker: take out what it still held. Each of them may
        `go_on`."""
        held = [self._running[job_id].ticket for job_id in self.held_by(route)]
        for ticket in held:
            self._leave(ticket.job.id)
        return held

    def go_on(self, ticket: Ticket, written: Mapping[int, Sequence[int]], now: float) -> bool:
        """Have a job that was removed with its worker wait for another one, in front of all
        others, to go on behind the tokens ``written``. False where it has been tried too often."""
        if ticket.job.attempt >= MAX_ATTEMPTS:
            return False
        self._queue_of(ticket).push_in_front(ticket.behind(written, now))
        return True

    def _queue_of(self, ticket: Ticket) -> FairWaiting | Waiting:
        return self._background if ticket.background else self._waiting

    def _pop(self, job_id: str) -> Ticket:
        queue = self._waiting if job_id in self._waiting else self._background
        self._alone_since.pop(job_id, None)
        return queue.pop(job_id)

    def _leave(self, job_id: str) -> _Running | None:
        running = self._running.pop(job_id, None)
        if running is not None:
            self._yielding.pop(job_id, None)
            worker = running.worker
            worker.used -= 1
            worker.background -= running.ticket.background
            self._background_running -= running.ticket.background
            if worker.guest == job_id:
                worker.guest = None
                worker.lent = False
        return running
