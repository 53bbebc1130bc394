"""Micro-batching for models that answer in one pass: many requests, one forward.

The unit is an item (one text), not a job: a step runs one batch of items of similar length, taken
from every job in hand. So padding stays small, a request of two thousand texts does not hold up a
request of one, and no step grows longer than its token budget.
"""

from __future__ import annotations

import copy
import math
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

from ipc.messages.errors import ServeError
from ipc.messages.events import Done, Event, Failed, Result
from ipc.messages.jobs import Job
from ipc.messages.spec import Loaded, Spec
from worker.cache import Cache
from worker.engine import Engine, Stage
from worker.fair_order import FairOrder

Item = Any
Output = Any

# A CPU gains nothing from larger steps (all-MiniLM-L6-v2, openvino fp32, 2 cores: 11.6 thousand
# tokens/s at 512 tokens a step, 11.8 at 8192), so they are kept short there for those who wait.
_CPU_TOKENS_PER_THREAD = 1024
# A batch may hold this share of its budget in padding: about what a forward of its own would cost
# the items that bring it. In simulation of 8 to 2048 waiting items of uniform and log-normal
# lengths, within 9 % of the best way to cut them; filling every batch cost up to twice that.
_PADDING_SHARE = 1 / 32


class Batched(Protocol):
    """A model as `MicroBatch` drives it: cut a job up, run items together, put answers together."""

    def load(self, spec: Spec, stage: Stage) -> Loaded: ...

    def split(self, job: Job) -> list[Item]:
        """The job's items, at least one. Raises a `ServeError` that refuses the job."""
        ...

    def size(self, item: Item) -> int:
        """The item's length in tokens: a batch costs its longest item times its count."""
        ...

    def key(self, item: Item) -> Hashable:
        """What decides the item's output: items of equal keys may share one."""
        ...

    def run(self, items: Sequence[Item]) -> Sequence[Output]:
        """One forward pass; the outputs stand in the order of the items."""
        ...

    def join(self, job: Job, items: Sequence[Item], outputs: Sequence[Output]) -> Result: ...

    def close(self) -> None: ...


class _Pending:
    """A job that is being worked on, its items, and the outputs that have come so far."""

    def __init__(self, job: Job, items: list[Item], since: float) -> None:
        self.job = job
        self.items = items
        self.outputs: list[Output] = [None] * len(items)
        self.waiting: dict[int, _Place] = {}
        self.since = since
        self.due = 0.0  # see FairOrder
        self.cached: set[int] = set()  # which outputs came from the cache
        self.padding_tokens = 0  # computed along with its items to make them as long as others


class _Place(NamedTuple):
    """One waiting item in the order of lengths. ``number`` counts jobs, ``at`` the items of one, so
    no two places are equal."""

    size: int
    number: int
    at: int
    pending: _Pending


class MicroBatch(Engine):
    """An engine made of a `Batched` model."""

    def __init__(self, model: Batched, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._clock = clock
        self._pending: dict[str, _Pending] = {}
        self._order: list[_Place] = []  # every waiting item, shortest first
        self._waiting_tokens = 0
        self._admitted = 0
        self._slots = 0
        self._window_s = 0.0
        self._budget = 0
        self._turns = FairOrder(0)
        self._company = 0  # how many jobs the last batch had
        self._cache: Cache[Output] = Cache(0)

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        loaded = self._model.load(spec, stage)
        self._slots = self._company = spec.slots
        self._window_s = spec.batch_window_ms / 1000
        self._budget = spec.batch_tokens
        self._cache = Cache(spec.cache_items)
        if loaded.device == "cpu":
            threads = spec.threads or os.cpu_count() or 1
            self._budget = min(spec.batch_tokens, threads * _CPU_TOKENS_PER_THREAD)
        self._turns = FairOrder(self._budget)
        return loaded

    def admit(self, job: Job) -> bool:
        if len(self._pending) >= self._slots:
            return False
        pending = _Pending(job, self._model.split(job), self._clock())
        self._admitted += 1
        for index, item in enumerate(pending.items):
            if self._find(pending, index):
                continue
            place = _Place(self._model.size(item), self._admitted, index, pending)
            pending.waiting[index] = place
            self._waiting_tokens += place.size
        self._order.extend(pending.waiting.values())
        self._order.sort()
        pending.due = self._turns.due(sum(place.size for place in pending.waiting.values()))
        self._pending[job.id] = pending
        return True

    def wait_s(self) -> float | None:
        """Zero once a batch is full, has as many jobs as the last one had, or its oldest job has
        waited for the window; or a job needs no batch, since all of its outputs were cached.

        Who was answered together asks again together, so a client that is alone never waits.
        """
        if not self._pending:
            return None
        if (
            self._complete()
            or len(self._pending) >= min(self._company, self._slots)
            or self._waiting_tokens >= self._budget
        ):
            return 0.0
        oldest = min(pending.since for pending in self._pending.values())
        return max(0.0, oldest + self._window_s - self._clock())

    def step(self) -> list[Event]:
        if complete := self._complete():
            return self._finish(complete)
        if not self._order:
            return []
        batch = self._pick()
        items = [place.pending.items[place.at] for place in batch]
        self._turns.worked(sum(place.size for place in batch), len(self._pending))
        jobs = self._take(batch)
        self._company = len(jobs)
        try:
            outputs = self._model.run(items)
        except ServeError as error:
            return self._fail(jobs, error)
        for place, output in zip(batch, outputs, strict=True):
            place.pending.outputs[place.at] = output
            place.pending.padding_tokens += batch[-1].size - place.size
        return self._finish([pending for pending in jobs if not pending.waiting])

    def drop(self, job_id: str) -> None:
        pending = self._pending.pop(job_id, None)
        if pending is not None and pending.waiting:
            self._order = [place for place in self._order if place.pending is not pending]
            self._waiting_tokens = sum(place.size for place in self._order)

    def close(self) -> None:
        self._model.close()

    def _find(self, pending: _Pending, at: int) -> bool:
        """Take the output of an item from the cache, if it is there."""
        if not self._cache.limit:
            return False
        output = self._cache.get(self._model.key(pending.items[at]))
        if output is None:
            return False
        pending.outputs[at] = output
        pending.cached.add(at)
        return True

    def _keep(self, pending: _Pending) -> int:
        """Put a good job's outputs into the cache; returns how many were not in it."""
        if not self._cache.limit:
            return 0
        fresh = [at for at in range(len(pending.items)) if at not in pending.cached]
        for at in fresh:
            # A copy, since an output may be a view that keeps the memory of its whole batch.
            output = copy.copy(pending.outputs[at])
            self._cache.put(self._model.key(pending.items[at]), output)
        return len(fresh)

    def _complete(self) -> list[_Pending]:
        """The jobs for which nothing is left to compute."""
        return [pending for pending in self._pending.values() if not pending.waiting]

    def _pick(self) -> list[_Place]:
        """Take the next batch out of the order.

        It holds an item of the job whose turn it is, and that item's neighbours in length while
        they fit the token budget and bring little padding.
        """
        pending = min(self._pending.values(), key=lambda one: one.due)
        first = pending.waiting[min(pending.waiting)]
        low = bisect_left(self._order, first)
        high = low + 1
        real = first.size
        while wider := self._wider(low, high, first.size):
            at, low_then, high_then = wider
            real += self._order[at].size
            padded = self._order[high_then - 1].size * (high_then - low_then)
            if padded > self._budget or padded - real > self._budget * _PADDING_SHARE:
                break
            low, high = low_then, high_then
        batch = self._order[low:high]
        del self._order[low:high]
        return batch

    def _wider(self, low: int, high: int, size: int) -> tuple[int, int, int] | None:
        """Where the waiting item nearest to ``size`` outside a range is, and the range with it."""
        order = self._order
        below = size - order[low - 1].size if low else math.inf
        above = order[high].size - size if high < len(order) else math.inf
        if below < above:
            return low - 1, low - 1, high
        return (high, low, high + 1) if above < math.inf else None

    def _take(self, batch: list[_Place]) -> list[_Pending]:
        """The items of ``batch`` wait no longer; returns their jobs, in the order they came."""
        for place in batch:
            del place.pending.waiting[place.at]
            self._waiting_tokens -= place.size
        numbers = {id(place.pending) for place in batch}
        return [pending for pending in self._pending.values() if id(pending) in numbers]

    def _finish(self, jobs: list[_Pending]) -> list[Event]:
        for pending in jobs:
            del self._pending[pending.job.id]
        return [self._join(pending) for pending in jobs]

    def _join(self, pending: _Pending) -> Event:
        job = pending.job
        try:
            result = self._model.join(job, pending.items, pending.outputs)
        except ServeError as error:
            return Failed(job=job.id, error=error.info())
        return Done(
            job.id,
            result,
            cache_hits=len(pending.cached),
            cache_misses=self._keep(pending),
            padding_tokens=pending.padding_tokens,
        )

    def _fail(self, jobs: list[_Pending], error: ServeError) -> list[Event]:
        for pending in jobs:
            self.drop(pending.job.id)
        return [Failed(job=pending.job.id, error=error.info()) for pending in jobs]
