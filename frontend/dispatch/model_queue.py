"""One model's jobs on their way to its workers and back: the rules around its `Lane`.

All that the frontend holds for a model is here: its queue, its open jobs, who is suspected of
crashing its workers. What it does to the world it asks of its `Effects`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from frontend.dispatch import refusals
from frontend.dispatch.budget import Claim
from frontend.dispatch.crashes.migration import Emitted, may_go_on
from frontend.dispatch.crashes.quarantine import HOLD_S
from frontend.dispatch.crashes.suspects import Suspects
from frontend.dispatch.crashes.takeover import Takeover
from frontend.dispatch.dropped import DroppedJobs
from frontend.dispatch.effects import Effects
from frontend.dispatch.estimates.estimator import Estimator
from frontend.dispatch.estimates.outlook import Outlook
from frontend.dispatch.estimates.standing import Standing
from frontend.dispatch.estimates.work import work_of
from frontend.dispatch.fair.cost import cost_of
from frontend.dispatch.input.early import LATEST_S, begins_early, outstays
from frontend.dispatch.input.writer import InputWriter
from frontend.dispatch.lane import Lane, route_id
from frontend.dispatch.open_jobs import OpenJob, OpenJobs
from frontend.dispatch.stream import Stream
from frontend.dispatch.terms import PLAIN, Terms
from frontend.dispatch.waiting import Ticket
from ipc.engines import hears_pieces
from ipc.messages.control import ModelDemand
from ipc.messages.errors import ServeError, from_info
from ipc.messages.events import (
    Consumed,
    Done,
    Event,
    Failed,
    Listened,
    Piece,
    Prefilled,
)
from ipc.messages.jobs import INPUT_CREDIT_BYTES, Cancel, Input, Job, More, is_live, is_streamed
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState, Route
from ipc.transport.wire import WireError

logger = logging.getLogger(__name__)

# Why a model is not ready that the supervisor calls so.
UNCONNECTED = "this server has no connection to its worker"


class ModelQueue:
    """Hands a model's jobs to its workers as its lane orders them, within each worker's credit.

    ``on_connection`` is called when its connections have changed, ``on_idle`` when no client waits
    for it any more. ``beside`` says whether other models of its device have live work.
    """

    def __init__(
        self,
        spec: Spec,
        effects: Effects,
        on_connection: Callable[[], None],
        on_idle: Callable[[], None],
        beside: Callable[[], bool] = lambda: False,
    ) -> None:
        self.spec = spec
        self._state = ModelState(name=spec.name, routes=[], state="starting")
        self._effects = effects
        self._on_connection = on_connection
        self._on_idle = on_idle
        self._jobs = OpenJobs()
        self._suspects = Suspects(self._jobs)
        self._estimator = Estimator(spec.slots)
        self._lane = Lane(spec, self._is_suspect, beside, self._pace_s)
        self._outlook = Outlook(self._lane, self._estimator, spec)
        self._takeover = Takeover(self._jobs, self._lane, self._estimator)
        self._dropped = DroppedJobs()
        self._jobs_ever = 0
        self._up_since = math.inf  # when workers began to take jobs; for ever: they take none
        self._closing: dict[str, bool] = {}  # routes of dead workers: whether it was their doing

    # --- how it stands ---

    @property
    def state(self) -> ModelState:
        """As clients meet it: a ready model to which no job can be sent is not ready."""
        if self._state.state == "ready" and not self._lane.credit:
            return msgspec.structs.replace(self._state, state="starting", reason=UNCONNECTED)
        return self._state

    @property
    def has_credit(self) -> bool:
        """Whether any worker can be sent jobs."""
        return self._lane.credit > 0

    @property
    def connected(self) -> bool:
        """Whether jobs reach every worker that should take some."""
        return self._lane.connected

    @property
    def empty(self) -> bool:
        """Whether no job waits and no worker holds one."""
        return not self._lane.depth and not self._lane.background and not self._lane.in_flight

    @property
    def readers(self) -> int:
        """How many clients wait for it; nobody does for what is done in the background."""
        return self._jobs.readers

    @property
    def is_live(self) -> bool:
        """Whether anybody waits for work of it that is not in the background."""
        return self._lane.is_live

    @property
    def demand(self) -> ModelDemand:
        """What clients want of it."""
        lane = self._lane
        return ModelDemand(
            name=self.spec.name,
            waiting=lane.depth + lane.background,
            in_hand=lane.in_flight,
            jobs=self._jobs_ever,
            by_worker=lane.held,
            keep_s=self._jobs.keep_s,
            wait_s=self._wait_s() if self.spec.may_scale else 0,
        )

    @property
    def takes_pieces(self) -> bool:
        """Whether a recording may follow its job; of a model that was never loaded as far as its
        engine is known."""
        loaded = self._state.loaded
        if loaded is not None:
            return loaded.streams_input
        return hears_pieces(self.spec.engine)

    def hears_early(self, rest_s: float | None) -> bool:
        """Whether one may be handed over whose rest should come in ``rest_s``."""
        return begins_early(self.spec.slots, len(self._jobs.uploads), self._lane.depth, rest_s)

    def _pace_s(self) -> float:
        return self._outlook.pace_s(self._effects.now())

    def _wait_s(self) -> int:
        """In seconds, as they pass: what is told of it changes no more often."""
        now = self._effects.now()
        return int(max(self._outlook.start_s(now) or 0.0, self._lane.oldest_wait_s(now)))

    def standing(self, job_id: str) -> Standing | None:
        """Where a job stands; None for one that is not here, or in the background."""
        opened = self._jobs.get(job_id)
        if opened is None or opened.background:
            return None
        now = self._effects.now()
        standing = self._outlook.standing(job_id, now)
        if (stream := opened.stream) is None:
            return standing
        return replace(standing, prefill=stream.prefill(now), listening=stream.listening(now))

    def facts(self) -> dict[str, float]:
        """How full it is now. ``eta_s`` is when a request would be handed over that came now, not a
        number where nothing is known yet."""
        lane = self._lane
        eta_s = self._outlook.start_s(self._effects.now())
        return {
            "depth": lane.depth,
            "limit": self.spec.queue_limit,
            "bytes": lane.waiting_bytes,
            "in_flight": lane.in_flight,
            "credit": lane.credit,
            "background": lane.background,
            "oldest_s": round(lane.oldest_wait_s(self._effects.now()), 3),
            "eta_s": math.nan if eta_s is None else round(eta_s, 3),
        }

    # --- what the dispatcher tells it ---

    def submit(
        self,
        request_id: str,
        asked: Input,
        size_bytes: int,
        claim: Claim,
        terms: Terms = PLAIN,
    ) -> Stream:
        """Queue a job and return its stream. Raises at once where the model cannot take it.

        One in the ``background`` may wait as long as it takes, and fails with `GaveWay` where live
        work needs its place.
        """
        if self._state.drained:
            raise refusals.model_draining(self.spec.name)
        if (error := self._not_admitting()) is not None:
            raise error
        spec, now = self.spec, self._effects.now()
        max_wait_s = math.inf if terms.background else spec.queue_timeout_s
        work_s = spec.request_timeout_s if terms.work_s is None else terms.work_s
        if terms.written is not None:
            self._check_goes_on()
        if is_streamed(asked):
            self._check_streams()
            claim.add(INPUT_CREDIT_BYTES)
        job = Job(
            id=self._jobs.unused_id(request_id),
            model=spec.name,
            input=asked,
            deadline_at=now + max_wait_s + work_s,
            written={choice: list(ids) for choice, ids in (terms.written or {}).items()},
        )
        if (error := self._suspects.held(job, now)) is not None:
            raise error
        self._jobs_ever += 1
        for other in self._lane.admit(Ticket(job, size_bytes, now, max_wait_s, terms)):
            self._fail(other.id, self._lane.reject(now))
        stream = Stream(job.id, now, self._cancel, claim, self.standing)
        opened = OpenJob(job, spec, claim, stream, job.deadline_at, terms.background)
        opened.keep_s, opened.work_s = terms.keep_alive_s, work_s
        if is_streamed(asked):
            writer = InputWriter(job.id, self._send_more, is_file=not is_live(asked))
            stream.input = opened.input = writer
        self._jobs.add(opened)
        if not terms.background:
            self._estimator.admit(job.id, work_of(asked), terms.client)
        self._pump()
        stream.told = stream.standing()
        return stream

    def set_spec(self, spec: Spec) -> None:
        """The model is run like this from now on; what has been admitted keeps its limits."""
        self.spec = spec
        self._estimator.slots = spec.slots
        self._outlook.spec = spec
        self._lane.set_limits(spec)

    def set_state(self, state: ModelState) -> None:
        """The workers have changed: drain the links of dead ones, open links to new ones."""
        linked = {route_id(route) for route in self._state.routes}
        self._state = self._outlook.state = state
        if state.state == "unloaded":
            self._jobs.forget_kept()
        for gone in self._lane.set_routes(state.routes):
            self._closing[gone] = gone in state.faulty
            self._effects.drain_events(gone)
        for route in state.routes:
            if route_id(route) not in linked:
                self._effects.connect(route, self)
        if (error := self._hopeless()) is not None:
            for job in self._lane.clear():
                self._fail(job.id, error)
        self._pump()  # a worker's credit may have grown

    def _hopeless(self) -> ServeError | None:
        """Why those that wait wait in vain."""
        refused = self._state.refused is not None
        if refused or self._state.state == "failed" or self.spec.load != "always":
            return self._not_admitting()
        return None  # it waits on, however a start goes

    def _not_admitting(self) -> ServeError | None:
        load_left_s = self._outlook.load_left_s(self._effects.now())
        return refusals.not_admitting(self._state, self.spec, load_left_s)

    def tick(self) -> None:
        """Enforce waiting times and deadlines."""
        now = self._effects.now()
        self._suspects.forget(now)
        for job in self._lane.expired(now):
            self._fail(job.id, self._waited_too_long())
        if self._suspects or self._lane.background:
            self._pump()  # whoever waited so that a suspect could run alone, or for a quiet moment
        for opened in self._jobs.overdue(now):
            self._give_up(opened, refusals.took_too_long(opened.spec))
        self._end_slow_uploads(now)
        for route, after_s in self._dropped.tick():
            self._report(route, f"it ended no job that was dropped {after_s:.0f} s ago")

    def _end_slow_uploads(self, now: float) -> None:
        for opened in self._jobs.uploads:
            stream = opened.stream
            if stream is None or stream.dispatched_at is None:
                continue
            if outstays(self.spec.slots, self._lane.depth, now - stream.dispatched_at):
                self._give_up(opened, refusals.upload_outstays(LATEST_S))

    @property
    def at_rest(self) -> bool:
        """Whether no job is open, waited for by its client or not, and no suspect is remembered."""
        return not (self._jobs.ids() or self._dropped or self._suspects)

    def _waited_too_long(self) -> ServeError:
        if self.spec.load != "always" and not self._lane.credit:
            load_left_s = self._outlook.load_left_s(self._effects.now())
            return refusals.still_loading(self._state, load_left_s)
        return refusals.waited_too_long(self._lane.retry_after_s())

    def fail_background(self, error: ServeError) -> None:
        """End every job that runs or waits in the background."""
        for opened in self._jobs.background():
            self._give_up(opened, error)

    def fail_all(self, error: ServeError) -> None:
        """End every job."""
        self._lane.clear()
        for job_id in self._jobs.ids():
            self._fail(job_id, error)

    # --- what its links tell it ---

    def on_open(self, route: str, is_open: bool) -> None:
        self._lane.set_connected(route, is_open)
        self._on_connection()
        self._pump()

    def on_events(self, events: Sequence[Event]) -> None:
        now, ended = self._effects.now(), False
        for event in events:
            if isinstance(event, Piece):  # nearly all are
                self._on_piece(event, now)
            elif isinstance(event, Done):
                self._on_done(event, now)
                ended = True
            elif isinstance(event, Failed):
                self._on_failed(event, now)
                ended = True
            elif isinstance(event, Prefilled):
                self._on_prefilled(event, now)
            elif isinstance(event, Consumed):
                self._on_consumed(event)
            else:
                self._on_listened(event, now)
        if ended:  # only then is a place free
            self._pump()

    def on_broken(self, route: str, why: str) -> None:
        """Something of what it said is lost, so nobody can go on behind it."""
        for job_id in self._lane.held_by(route):
            opened = self._jobs.get(job_id)
            if opened is not None:
                opened.emitted = None
        self._report(route, why)

    def on_route_closed(self, route: str) -> None:
        """What a dead worker still held has no outcome but its death."""
        self._effects.close(route)
        faulty = self._closing.pop(route)
        if lost := self._lane.remove(route):
            self._on_lost(lost, faulty)
        self._pump()

    # --- inside ---

    def _pump(self) -> None:
        """Hand over jobs while any worker has credit. What makes way goes first: a worker that is
        told so ends it before it begins what follows."""
        self._note_up()
        for job_id in self._lane.give_way(self._effects.now()):
            if (opened := self._jobs.waited_for(job_id)) is not None:
                self._give_up(opened, refusals.gave_way())
        while (pair := self._lane.take(self._effects.now())) is not None:
            self._hand_over(*pair)

    def _note_up(self) -> None:
        if not self._lane.credit:
            self._up_since = math.inf
        elif math.isinf(self._up_since):
            self._up_since = self._effects.now()

    def _hand_over(self, job: Job, route: Route) -> None:
        opened = self._jobs.get(job.id)
        assert opened is not None, "a job in the lane is open"
        now = self._effects.now()
        self._estimator.hand_over(job.id, route_id(route), now)
        if self._goes_on(opened) and opened.emitted is None:
            opened.emitted = Emitted.of(job.written)
        if (stream := opened.stream) is not None:
            stream.hand_over(now, job.attempt, route.pid or None)
            if not stream.migrations:
                stream.load_s = max(0.0, self._up_since - stream.submitted_at)
        # The wait had a limit of its own; from here on the job has its time to be worked on. While
        # its upload lasts, that is held to time as every body is.
        is_filling = opened.input is not None and opened.input.is_filling
        opened.deadline_at = math.inf if is_filling else now + opened.work_s
        job = msgspec.structs.replace(job, deadline_at=opened.deadline_at)
        if (error := self._send(route_id(route), job)) is not None:
            self._lane.end(job.id, now)
            self._fail(job.id, error)
            return
        for more in opened.input.feed.held if opened.input is not None else ():
            self._effects.send(route_id(route), more)

    def _send_more(self, more: More) -> None:
        """To the worker that has the job; one that waits is sent all as it is handed over."""
        if (route := self._lane.carrier(more.job)) is not None:
            self._effects.send(route, more)
        opened = self._jobs.get(more.job)
        if more.last and opened is not None and math.isinf(opened.deadline_at):
            opened.deadline_at = self._effects.now() + opened.work_s

    def _check_streams(self) -> None:
        """Raises `InvalidRequest` where it is known that the model takes no input in pieces."""
        loaded = self._state.loaded
        if loaded is not None and not loaded.streams_input:
            raise refusals.takes_it_whole(self.spec.name)

    def _check_goes_on(self) -> None:
        """Raises `UnsupportedParameter` where it is known that the model goes on behind nobody."""
        loaded = self._state.loaded
        if loaded is not None and not (loaded.goes_on and self.spec.migrate):
            raise refusals.goes_on_behind_nobody(self.spec.name)

    def _goes_on(self, opened: OpenJob) -> bool:
        """Whether another worker could go on with its answer, if this one dies."""
        loaded = self._state.loaded
        return (
            opened.spec.migrate
            and not opened.background
            and loaded is not None
            and loaded.goes_on
            and may_go_on(opened.job.input)
        )

    def _send(self, route: str, job: Job) -> ServeError | None:
        """Why it could not be sent."""
        try:
            sent = self._effects.send(route, job)
        except WireError as error:
            return refusals.too_large(error)
        return None if sent else refusals.worker_takes_nothing()

    def _on_failed(self, event: Failed, now: float) -> None:
        if not event.began and self._requeue(event.job):
            return
        ticket = self._lane.end(event.job, now)
        if event.broke_off and ticket is not None and self._takeover.goes_on(ticket, now):
            return
        if (stream := self._jobs.stream(event.job)) is not None:
            stream.marks = event.marks
        self._fail(event.job, from_info(event.error))

    def _requeue(self, job_id: str) -> bool:
        """Queue a job again that a draining worker had not begun, if anybody waits for it."""
        opened = self._jobs.get(job_id)
        if opened is None or opened.stream is None:
            return False
        if opened.input is not None and not opened.input.begin_anew(has_spoken=False):
            return False  # what has been used is nowhere any more
        if not self._lane.requeue(job_id):
            return False
        now, stream = self._effects.now(), opened.stream
        self._estimator.requeue(job_id, now)
        stream.give_back(now)
        opened.deadline_at = opened.job.deadline_at  # it waits again, as when it was admitted
        return True

    def _on_piece(self, piece: Piece, now: float) -> None:
        opened = self._jobs.get(piece.job)
        if opened is not None:
            if opened.stream is not None:
                opened.stream.push(piece, now)
            if opened.emitted is not None:
                opened.emitted.note(piece)
        self._estimator.wrote(piece.job, piece.tokens, now)

    def _on_prefilled(self, event: Prefilled, now: float) -> None:
        stream = self._jobs.stream(event.job)
        if stream is not None:
            stream.note_prefill(event, now)

    def _on_consumed(self, event: Consumed) -> None:
        opened = self._jobs.get(event.job)
        if opened is not None and opened.input is not None:
            opened.input.use(event.pieces)

    def _on_listened(self, event: Listened, now: float) -> None:
        stream = self._jobs.stream(event.job)
        if stream is not None:
            stream.note_listened(event, now)

    def _on_done(self, event: Done, now: float) -> None:
        job_id = event.job
        if (stream := self._jobs.stream(job_id)) is not None:
            stream.push(event, now)
        self._estimator.done(job_id, event, now)
        self._lane.end(job_id, now, cost_of(event.result.usage))
        self._suspects.clear(job_id)
        self._close(job_id)

    def _on_lost(self, lost: Sequence[Ticket], faulty: bool) -> None:
        """A worker has gone with these. Who may have been the cause is remembered."""
        now = self._effects.now()
        if faulty:
            for _ in range(self._suspects.note([ticket.job for ticket in lost], now)):
                self._effects.note("request.quarantined", self.spec.name, {"for_s": HOLD_S})
        for ticket in reversed(lost):  # each goes in front of those before it
            error = self._suspects.held(ticket.job, now)
            if error is not None or not self._takeover.of(ticket, now):
                self._fail(ticket.job.id, error or refusals.worker_crashed(ticket.job.model))
        for job in self._lane.waiting():  # repeats of the same request
            if (error := self._suspects.held(job, now)) is not None:
                self._lane.cancel(job.id)
                self._fail(job.id, error)

    def _is_suspect(self, job: Job) -> bool:
        if self.spec.cluster is not None:  # its one worker cannot keep two jobs from each other
            return False
        return self._suspects.has(job)

    def _cancel(self, job_id: str) -> None:
        """Nobody waits for it. Credit comes back with the worker's terminal event."""
        opened = self._jobs.get(job_id)
        assert opened is not None, "a stream that has not ended has an open job"
        if opened.input is not None:
            opened.input.end()
        self._jobs.detach(job_id)
        route = self._lane.cancel(job_id)
        if route is None:
            self._close(job_id)
            return
        self._effects.send(route, Cancel(job_id))
        self._estimator.drop(job_id)
        self._dropped.add(job_id, route, opened.spec.stall_s)
        self._note_readers()

    def _give_up(self, opened: OpenJob, error: ServeError) -> None:
        """End a job for whoever waits for it, and have its worker drop it."""
        stream = opened.stream
        assert stream is not None, "somebody waits for it"
        self._cancel(opened.job.id)
        stream.fail(error)

    def _report(self, route: str, why: str) -> None:
        """Have a living worker replaced."""
        for each in self._state.routes:
            if route_id(each) == route:
                logger.error("worker_misbehaved", extra={"worker": route, "why": why})
                self._effects.misbehaved(each, why)

    def _fail(self, job_id: str, error: ServeError) -> None:
        stream = self._close(job_id)
        if stream is not None:
            stream.fail(error)

    def _close(self, job_id: str) -> Stream | None:
        """A job has ended: returns its stream, if anybody waits for it."""
        self._dropped.remove(job_id)
        self._estimator.leave(job_id, self._effects.now())
        if (opened := self._jobs.get(job_id)) is not None and opened.input is not None:
            opened.input.end()
        stream = self._jobs.remove(job_id)
        self._note_readers()
        return stream

    def _note_readers(self) -> None:
        if not self._jobs.readers:
            self._on_idle()
