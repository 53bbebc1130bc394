"""From requests to workers and back: which models there are, and what their queues are told.

The dispatcher owns a `ModelQueue` for each model. It decides and does nothing: see
`frontend.dispatch.effects`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial

from frontend.dispatch import refusals
from frontend.dispatch.budget import Claim
from frontend.dispatch.effects import Effects
from frontend.dispatch.full_queues import FullQueues
from frontend.dispatch.model_queue import ModelQueue
from frontend.dispatch.stream import Stream
from frontend.dispatch.terms import PLAIN, Terms
from frontend.quotas import seen
from ipc.messages.control import ModelDemand
from ipc.messages.errors import InvalidRequest, ModelNotFound, QueueFull, Unavailable
from ipc.messages.jobs import Input, Task
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState
from ipc.tasks import TASKS


class Dispatcher:
    """Finds the queue of a request's model.

    ``informed`` is set once the supervisor has said which workers there are; ``connected`` while
    jobs reach each worker that is ready; ``idle`` once it drains and no client waits any more;
    ``asked`` with each job.
    """

    def __init__(
        self, specs: Iterable[Spec], effects: Effects, aliases: Mapping[str, str] | None = None
    ) -> None:
        self._specs: dict[str, Spec] = {}  # what is served
        self.aliases = dict(aliases or {})
        self.draining = False
        self.informed = asyncio.Event()
        self.connected = asyncio.Event()
        self.idle = asyncio.Event()
        self.asked = asyncio.Event()
        self._effects = effects
        self._closed = False
        self._demand: list[ModelDemand] = []
        self._open: dict[str, None] = {}  # the models that may have what time can run out for
        self._demand_of: dict[str, ModelDemand] = {}  # of others, until anything changes
        self._queues: dict[str, ModelQueue] = {}  # of models that leave, too, until they are empty
        self._left: dict[str, ModelQueue] = {}  # of models that have left and still have a state
        self._full = FullQueues()
        self._unavailable: dict[str, str | None] = {}  # models that could not be fetched, and why
        self.set_models(specs)

    # --- for the routes ---

    @property
    def specs(self) -> Mapping[str, Spec]:
        """What is served, as far as it is there for whoever asks, see `frontend.quotas.seen`."""
        return seen.of(self._specs, self.aliases)

    def spec(self, name: str, task: Task) -> Spec:
        """The model called ``name``, by an alias or its own. Raises `ModelNotFound`;
        `InvalidRequest` for another task; `Unavailable` where it could not be fetched."""
        spec = self.called(name)
        if spec is None:
            raise self._not_served(name, task)
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
            raise refusals.no_model_named(task, [spec.name for spec in able])
        return able[0]

    def state(self, name: str) -> ModelState:
        """How the model of this very name is. Raises `ModelNotFound` where it has left."""
        queue = self._queues.get(name)
        if queue is None:
            raise self._not_served(name)
        return queue.state

    def unconnected(self) -> set[str]:
        """The models without a worker that jobs could be sent to, whatever the supervisor says."""
        return {name for name, queue in self._queues.items() if not queue.has_credit}

    def shows(self, name: str) -> bool:
        """Whether whoever asks may know of the model of this very name, served or not."""
        return seen.includes(name, self.aliases)

    def takes_pieces(self, spec: Spec) -> bool:
        """Whether a recording for this model may follow its job in pieces."""
        return spec.name in self._queues and self._queues[spec.name].takes_pieces

    def hears_early(self, spec: Spec, rest_s: float | None) -> bool:
        """Whether one may be handed over whose rest should come in ``rest_s``, None where nobody
        knows."""
        return self.takes_pieces(spec) and self._queues[spec.name].hears_early(rest_s)

    def queues(self) -> dict[str, dict[str, float]]:
        """How full each model's queue is now."""
        return {name: queue.facts() for name, queue in self._queues.items()}

    def submit(
        self,
        request_id: str,
        spec: Spec,
        asked: Input,
        size_bytes: int,
        claim: Claim,
        terms: Terms = PLAIN,
    ) -> Stream:
        """Queue a job and return its stream. Raises at once where the model cannot take it, or is
        not served any more as it was when ``spec`` was found.

        ``claim`` is held for as long as the job is, which may outlive its request. One in the
        ``background`` never keeps others waiting, see `frontend.dispatch.lane`.
        """
        if self.draining:
            raise refusals.stopping()
        self.spec(spec.name, spec.task)
        queue = self._queues[spec.name]
        self._open[spec.name] = None
        if not terms.autoload and queue.state.state not in ("ready", "starting"):
            raise refusals.not_loaded(spec)
        try:
            stream = queue.submit(request_id, asked, size_bytes, claim, terms)
        except QueueFull:
            if not terms.background:  # whoever sends those holds back by himself
                self._on_full(spec)
            raise
        self.asked.set()
        if not queue.has_credit:
            self.tell_demand()
        return stream

    # --- for the supervisor's messages, and the clock ---

    def set_models(self, specs: Iterable[Spec]) -> None:
        """These are served from now on, and no others. A model that is missing admits nothing; what
        it has goes on, and then it leaves."""
        if self._closed:
            return
        self._demand_of.clear()
        self._specs = {spec.name: spec for spec in specs}
        for name, spec in self._specs.items():
            self._unavailable.pop(name, None)
            queue = self._queues.get(name) or self._left.pop(name, None)
            if queue is None:
                queue = ModelQueue(
                    spec,
                    self._effects,
                    self._on_connection,
                    self._on_idle,
                    beside=partial(self._live_beside, name),
                )
            queue.set_spec(spec)
            self._queues[name] = queue
        self._report_left()

    def set_states(self, states: Iterable[ModelState]) -> None:
        """The fleet has changed; these are all states. A model that has one and was never to be
        served could not be fetched."""
        if self._closed:
            return
        self._demand_of.clear()
        listed = {state.name: state for state in states}
        for name in self._left.keys() - listed.keys():
            self._left.pop(name).set_state(ModelState(name=name, routes=[], state="stopped"))
        known = self._queues | self._left
        for name, queue in known.items():
            if name in listed:
                queue.set_state(listed[name])
        self._unavailable = {name: listed[name].reason for name in listed.keys() - known.keys()}
        self._on_connection()
        self.informed.set()

    def tick(self) -> None:
        """`dropped.TICK_S` has passed: enforce waiting times and deadlines."""
        if self._closed:
            return
        for name in list(self._open):
            if name in self._queues:
                self._queues[name].tick()
            if self._rests(name):
                del self._open[name]
                self._demand_of.pop(name, None)
        self._report_left()
        self.tell_demand()

    @property
    def at_rest(self) -> bool:
        """Whether nothing is open for which time could run out."""
        return all(map(self._rests, self._open))

    def drain(self) -> None:
        """Accept nothing more; what was accepted goes on, but for what is in the background."""
        self.draining = True
        for queue in self._queues.values():
            queue.fail_background(refusals.stopping())
        self._on_idle()

    def close(self) -> None:
        """End every job that is left, with an error its client can read, and hear no more."""
        self._closed = True
        for queue in self._queues.values():
            queue.fail_all(refusals.stopped_before_end())

    # --- inside ---

    def _on_full(self, spec: Spec) -> None:
        if refused := self._full.refused(spec.name, self._effects.now()):
            facts = {"refused": refused, "limit": spec.queue_limit}
            self._effects.note("queue.full", spec.name, facts)

    def _live_beside(self, name: str) -> bool:
        """Whether a model that shares the device of this one has live work."""
        device = self._queues[name].spec.device
        return any(
            queue.is_live
            for other, queue in self._queues.items()
            if other != name and queue.spec.device == device
        )

    def tell_demand(self) -> None:
        """Tell the supervisor for whom models are to be loaded, and which have no work, if that has
        changed: each tick, and before it is asked for what depends on it."""
        for name, queue in self._queues.items():
            if name in self._open or name not in self._demand_of:
                self._demand_of[name] = queue.demand
        demand = [self._demand_of[name] for name in self._queues]
        if demand != self._demand:
            self._demand = demand
            self._effects.demand(demand)

    def _rests(self, name: str) -> bool:
        """Whether the model has nothing for which time could run out."""
        queue = self._queues.get(name) or self._left.get(name)
        return queue is None or queue.at_rest

    def _report_left(self) -> None:
        """Report the models that are not served any more and hold nothing. Their links stay until
        their workers are gone: if a model comes back first, it has the same workers."""
        leaving = self._queues.keys() - self._specs.keys()
        for name in sorted(name for name in leaving if self._queues[name].empty):
            self._left[name] = self._queues.pop(name)
            self._effects.left(name)
            self._on_connection()

    def _not_served(self, name: str, task: Task | None = None) -> ModelNotFound | Unavailable:
        called = self.aliases.get(name, name)
        if called in self._unavailable and seen.includes(called, self.aliases):
            return Unavailable(f"model {name!r} is not available: {self._unavailable[called]}")
        able = [spec.name for spec in self.specs.values() if task in (None, spec.task)]
        aliases = [alias for alias, own in self.aliases.items() if own in able]
        return refusals.not_served(name, task, [*able, *aliases], by_key=seen.is_limited())

    def _on_connection(self) -> None:
        """A queue's connections have changed."""
        if all(queue.connected for queue in self._queues.values()):
            self.connected.set()
        else:
            self.connected.clear()

    def _on_idle(self) -> None:
        """The last client of a queue has gone."""
        if self.draining and not any(queue.readers for queue in self._queues.values()):
            self.idle.set()
