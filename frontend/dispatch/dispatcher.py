"""From requests to workers and back: which models there are, and what their queues are told.

The dispatcher owns a `ModelQueue` for each model. It decides and does nothing: see
`frontend.dispatch.effects`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from frontend.dispatch import refusals
from frontend.dispatch.budget import Claim
from frontend.dispatch.effects import Effects
from frontend.dispatch.model_queue import ModelQueue
from frontend.dispatch.stream import Stream
from ipc.messages.errors import InvalidRequest, ModelNotFound, Unavailable
from ipc.messages.jobs import Input, Task
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState
from ipc.tasks import TASKS


class Dispatcher:
    """Finds the queue of a request's model.

    ``informed`` is set once the supervisor has said which workers there are; ``connected`` while
    jobs reach each worker that is ready; ``idle`` once it drains and no client waits any more.
    """

    def __init__(
        self, specs: Iterable[Spec], effects: Effects, aliases: Mapping[str, str] | None = None
    ) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.aliases = dict(aliases or {})
        self.draining = False
        self.informed = asyncio.Event()
        self.connected = asyncio.Event()
        self.idle = asyncio.Event()
        self._closed = False
        self._queues = {
            name: ModelQueue(spec, effects, self._on_change) for name, spec in self.specs.items()
        }
        self._unavailable: dict[str, str | None] = {}  # models that could not be fetched, and why

    # --- for the routes ---

    def spec(self, name: str, task: Task) -> Spec:
        """The model called ``name``, by an alias or its own. Raises `ModelNotFound`;
        `InvalidRequest` for another task; `Unavailable` where it could not be fetched."""
        spec = self.called(name)
        if spec is None:
            raise self._not_served(name)
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
        """How the model of this very name is."""
        return self._queues[name].state

    def unconnected(self) -> set[str]:
        """The models without a worker that jobs could be sent to, whatever the supervisor says."""
        return {name for name, queue in self._queues.items() if not queue.has_credit}

    def queues(self) -> dict[str, dict[str, float]]:
        """How full each model's queue is now."""
        return {name: queue.facts() for name, queue in self._queues.items()}

    def submit(
        self, request_id: str, spec: Spec, asked: Input, size_bytes: int, claim: Claim
    ) -> Stream:
        """Queue a job and return its stream. Raises at once where the model cannot take it.

        ``claim`` is held for as long as the job is, which may outlive its request.
        """
        if self.draining:
            raise refusals.stopping()
        return self._queues[spec.name].submit(request_id, asked, size_bytes, claim)

    # --- for the supervisor's messages, and the clock ---

    def set_states(self, states: Iterable[ModelState]) -> None:
        """The fleet has changed. A model without a spec is one that could not be fetched."""
        if self._closed:
            return
        for state in states:
            if state.name in self._queues:
                self._queues[state.name].set_state(state)
            else:
                self._unavailable[state.name] = state.reason
        self.informed.set()

    def tick(self) -> None:
        """`dropped.TICK_S` has passed: enforce waiting times and deadlines."""
        for queue in self._queues.values():
            queue.tick()

    def drain(self) -> None:
        """Accept nothing more; what was accepted goes on."""
        self.draining = True
        self._on_change()

    def close(self) -> None:
        """End every job that is left, with an error its client can read, and hear no more."""
        self._closed = True
        for queue in self._queues.values():
            queue.fail_all(refusals.stopped_before_end())

    # --- inside ---

    def _not_served(self, name: str) -> ModelNotFound | Unavailable:
        called = self.aliases.get(name, name)
        if called in self._unavailable:
            return Unavailable(f"model {name!r} is not available: {self._unavailable[called]}")
        known = ", ".join([*self.specs, *self.aliases])
        return ModelNotFound(f"this server has no such model; it has: {known}", param="model")

    def _on_change(self) -> None:
        """A queue's connections have changed, or the last client of one has gone."""
        queues = self._queues.values()
        if all(queue.connected for queue in queues):
            self.connected.set()
        else:
            self.connected.clear()
        if self.draining and not any(queue.readers for queue in queues):
            self.idle.set()
