"""Micro-batching for models that answer in one pass: many requests, one forward.

The unit is an item (one text), not a job: a step runs one batch of items of similar length, taken
from every job in hand. So padding stays small, a request of two thousand texts does not hold up a
request of one, and no step grows longer than its token budget.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ipc.errors import ServeError
from ipc.types import Done, Event, Failed, Job, Loaded, Result, Spec
from worker.engine import Stage

Item = Any
Output = Any


class Batched(Protocol):
    """A model as `MicroBatch` drives it: cut a job up, run items together, put answers together."""

    def load(self, spec: Spec, stage: Stage) -> Loaded: ...

    def split(self, job: Job) -> list[Item]:
        """The job's items, at least one. Raises a `ServeError` that refuses the job."""
        ...

    def size(self, item: Item) -> int:
        """The item's length in tokens: a batch costs its longest item times its count."""
        ...

    def run(self, items: Sequence[Item]) -> Sequence[Output]:
        """One forward pass; the outputs stand in the order of the items."""
        ...

    def join(self, job: Job, items: Sequence[Item], outputs: Sequence[Output]) -> Result: ...

    def close(self) -> None: ...


class _Pending:
    """A job that is being worked on, and which of its items are still to run."""

    def __init__(self, job: Job, items: list[Item], since: float) -> None:
        self.job = job
        self.items = items
        self.outputs: list[Output] = [None] * len(items)
        self.waiting = set(range(len(items)))
        self.since = since


class MicroBatch:
    """An `Engine` made of a `Batched` model."""

    def __init__(self, model: Batched, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._clock = clock
        self._pending: dict[str, _Pending] = {}
        self._slots = 0
        self._window_s = 0.0
        self._budget = 0
        self.padded_tokens = 0
        self.real_tokens = 0

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._slots = spec.slots
        self._window_s = spec.batch_window_ms / 1000
        self._budget = spec.batch_tokens
        return self._model.load(spec, stage)

    def admit(self, job: Job) -> bool:
        if len(self._pending) >= self._slots:
            return False
        self._pending[job.id] = _Pending(job, self._model.split(job), self._clock())
        return True

    def wait_s(self) -> float | None:
        """Zero once the batch is full or its oldest job has waited for the window."""
        if not self._pending:
            return None
        if len(self._pending) >= self._slots:
            return 0.0
        oldest = min(pending.since for pending in self._pending.values())
        return max(0.0, oldest + self._window_s - self._clock())

    def step(self) -> list[Event]:
        batch = self._pick()
        if not batch:
            return []
        items = [pending.items[index] for pending, index in batch]
        try:
            outputs = self._model.run(items)
        except ServeError as error:
            return self._fail({pending.job.id for pending, _ in batch}, error)
        self._count(items)
        for (pending, index), output in zip(batch, outputs, strict=True):
            pending.outputs[index] = output
            pending.waiting.discard(index)
        return self._finished()

    def drop(self, job_id: str) -> None:
        self._pending.pop(job_id, None)

    def close(self) -> None:
        self._model.close()

    def _pick(self) -> list[tuple[_Pending, int]]:
        """The next batch: the oldest waiting item and those nearest to it in length.

        The oldest is always in, so nothing starves; its neighbours fill the token budget.
        """
        waiting = [(p, index) for p in self._pending.values() for index in sorted(p.waiting)]
        if not waiting:
            return []
        sizes = [self._model.size(pending.items[index]) for pending, index in waiting]
        first = sizes[0]
        nearest = sorted(range(len(waiting)), key=lambda at: (abs(sizes[at] - first), at))
        batch: list[tuple[_Pending, int]] = []
        longest = 0
        for at in nearest:
            grown = max(longest, sizes[at])
            if batch and grown * (len(batch) + 1) > self._budget:
                break
            batch.append(waiting[at])
            longest = grown
        return batch

    def _count(self, items: Sequence[Item]) -> None:
        sizes = [self._model.size(item) for item in items]
        self.real_tokens += sum(sizes)
        self.padded_tokens += max(sizes) * len(sizes)

    def _finished(self) -> list[Event]:
        ready = [pending for pending in self._pending.values() if not pending.waiting]
        for pending in ready:
            del self._pending[pending.job.id]
        return [self._join(pending) for pending in ready]

    def _join(self, pending: _Pending) -> Event:
        job = pending.job
        try:
            return Done(job.id, self._model.join(job, pending.items, pending.outputs))
        except ServeError as error:
            return Failed(job=job.id, error=error.info())

    def _fail(self, jobs: set[str], error: ServeError) -> list[Event]:
        for job_id in jobs:
            self._pending.pop(job_id, None)
        return [Failed(job=job_id, error=error.info()) for job_id in sorted(jobs)]
