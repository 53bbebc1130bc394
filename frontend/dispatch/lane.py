"""One model's queue: who waits, who runs where, and who must be rejected.

A lane decides and does nothing: no socket, no clock, no task. Each call takes the time and returns
what to do, so its behaviour is tested with literal histories. It is the only long queue in the
system, bounded in requests, in bytes and in waiting time; a worker holds no more than its credit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

import msgspec

from ipc.messages.errors import QueueFull
from ipc.messages.jobs import Job
from ipc.messages.spec import Spec
from ipc.messages.state import Route

RETRY_AFTER_MIN_S = 1.0
RETRY_AFTER_MAX_S = 60.0
# The weight of the newest job in the moving average of service time.
_EWMA_WEIGHT = 0.2
# How long others may have to wait so that a job runs alone: until its worker is empty, and then as
# long again beside it.
ALONE_S = 1.0
# A job refused unbegun by one draining worker after another is given up at this many tries.
MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job with its place in the lane, where it may wait for ``max_wait_s``."""

    job: Job
    size_bytes: int
    queued_at: float
    max_wait_s: float


@dataclass(slots=True)
class _Worker:
    route: Route
    used: int = 0
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


@dataclass(frozen=True, slots=True)
class _Running:
    ticket: Ticket
    worker: _Worker
    since: float


def _bounded(wait_s: float) -> float:
    return min(max(wait_s, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)


def route_id(route: Route) -> str:
    """A route's name, unique over all generations."""
    return f"{route.replica}.{route.generation}"


class Lane:
    """The jobs of one model, from admission to their terminal event.

    ``alone`` says of a job whether it should have a worker for itself. Others wait for that no
    longer than `ALONE_S`; with another such job it never shares a worker.
    """

    def __init__(self, spec: Spec, alone: Callable[[Job], bool] = lambda _: False) -> None:
        self._alone = alone
        self._model = spec.name
        self.set_limits(spec)
        self._waiting: dict[str, Ticket] = {}
        self._waiting_bytes = 0
        self._running: dict[str, _Running] = {}
        self._alone_since: dict[str, float] = {}  # of waiting jobs for which a worker is emptied
        self._workers: dict[str, _Worker] = {}
        self._service_s = 1.0  # until the first job has been measured
        self._appointed_to = 0.0  # places up to this time are promised to those that were rejected

    def set_limits(self, spec: Spec) -> None:
        """Jobs that come from now on have these limits; those that wait keep their places."""
        self._limit = spec.queue_limit
        self._limit_bytes = spec.queue_bytes

    @property
    def depth(self) -> int:
        """Jobs that wait here."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        return self._waiting_bytes

    @property
    def in_flight(self) -> int:
        """Jobs that a worker holds."""
        return len(self._running)

    @property
    def credit(self) -> int:
        """How many jobs the workers may hold that take jobs now."""
        return sum([worker.credit for worker in self._workers.values()])

    @property
    def connected(self) -> bool:
        """Whether jobs reach every worker that should take some."""
        return all(worker.connected for worker in self._workers.values() if worker.route.open)

    @property
    def full(self) -> bool:
        """Whether no job has a place, however small. Credit that is free counts as places."""
        over = len(self._waiting) - self._limit
        return over >= 0 and over >= sum([worker.free for worker in self._workers.values()])

    def oldest_wait_s(self, now: float) -> float:
        first = next(iter(self._waiting.values()), None)
        return now - first.queued_at if first else 0.0

    def retry_after_s(self) -> float:
        """When a place should be free: the queue's length times the time that each job takes."""
        return _bounded(self.depth * self._job_s)

    @property
    def _job_s(self) -> float:
        """The time from one job's end to the next one's, when all workers are busy."""
        return self._service_s / max(1, self.credit)

    def _appoint(self, now: float) -> float:
        """When to come back: staggered, so that rejected clients do not all return at once."""
        drained_at = now + self.depth * self._job_s
        latest = now + RETRY_AFTER_MAX_S
        self._appointed_to = min(max(drained_at, self._appointed_to + self._job_s), latest)
        return _bounded(self._appointed_to - now)

    def admit(self, ticket: Ticket) -> None:
        """Queue a job. Raises `QueueFull` where it would exceed the lane's bounds.

        A job that a worker can take at once never counts against the queue.
        """
        over_bytes = self.depth > 0 and self._waiting_bytes + ticket.size_bytes > self._limit_bytes
        if self.full or over_bytes:
            raise self.reject(ticket.queued_at)
        if not self._running and not self._waiting:
            self._appointed_to = 0.0  # who was told to come again by now has come, or will not
        self._push(ticket)

    def reject(self, now: float) -> QueueFull:
        """The refusal of one more job, with an appointment in it."""
        return QueueFull(
            f"model {self._model!r} has {self.depth} requests waiting, as many as it may; try "
            "again after the time in Retry-After, or raise its queue limit",
            retry_after_s=self._appoint(now),
        )

    def take(self, now: float) -> tuple[Job, Route] | None:
        """The next job to hand over, and the worker with the most room for it."""
        kept: set[str] = set()  # routes of workers that are to become empty
        for worker in self._workers.values():
            worker.lent = worker.guest is not None and now < worker.lent_until
        for ticket in self._waiting.values():
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
        self._pop(ticket.job.id)
        if alone:
            worker.guest = ticket.job.id
            worker.lent_until = now if worker.used else now + ALONE_S
            worker.lent = not worker.used
        worker.used += 1
        self._running[ticket.job.id] = _Running(ticket, worker, now)
        return ticket.job, worker.route

    def end(self, job_id: str, now: float) -> None:
        """A job's terminal event has come: its credit returns. Unknown ids are ignored."""
        running = self._leave(job_id)
        if running is not None:
            self._service_s += _EWMA_WEIGHT * (now - running.since - self._service_s)

    def requeue(self, job_id: str) -> bool:
        """A worker refused a job that it had not begun: queue it again, in front of the others.

        False where the job has been tried too often; it is then gone from the lane.
        """
        running = self._leave(job_id)
        if running is None or running.ticket.job.attempt >= MAX_ATTEMPTS:
            return False
        job = running.ticket.job
        again = replace(running.ticket, job=msgspec.structs.replace(job, attempt=job.attempt + 1))
        others, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        for ticket in (again, *others.values()):
            self._push(ticket)
        return True

    def cancel(self, job_id: str) -> str | None:
        """Nobody waits for a job any more. One that is queued is never dispatched; one that runs
        keeps its credit until its terminal event: returns the route to tell."""
        if job_id in self._waiting:
            self._pop(job_id)
            return None
        running = self._running.get(job_id)
        return route_id(running.worker.route) if running else None

    def expired(self, now: float) -> list[Job]:
        """The jobs that have waited too long; they leave the lane."""
        late = [
            job_id
            for job_id, ticket in self._waiting.items()
            if now - ticket.queued_at > ticket.max_wait_s
        ]
        return [self._pop(job_id).job for job_id in late]

    def clear(self) -> list[Job]:
        """Every waiting job leaves the lane: the model will not serve them."""
        return [self._pop(job_id).job for job_id in list(self._waiting)]

    def waiting(self) -> list[Job]:
        """The jobs that wait, in their order."""
        return [ticket.job for ticket in self._waiting.values()]

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

    def remove(self, route: str) -> list[Job]:
        """Nothing more will come of a dead worker: take out the jobs that it still held."""
        held = [run for run in self._running.values() if route_id(run.worker.route) == route]
        for run in held:
            self._leave(run.ticket.job.id)
        return [run.ticket.job for run in held]

    def _push(self, ticket: Ticket) -> None:
        self._waiting[ticket.job.id] = ticket
        self._waiting_bytes += ticket.size_bytes

    def _pop(self, job_id: str) -> Ticket:
        ticket = self._waiting.pop(job_id)
        self._alone_since.pop(job_id, None)
        self._waiting_bytes -= ticket.size_bytes
        return ticket

    def _leave(self, job_id: str) -> _Running | None:
        running = self._running.pop(job_id, None)
        if running is not None:
            running.worker.used -= 1
            if running.worker.guest == job_id:
                running.worker.guest = None
                running.worker.lent = False
        return running
