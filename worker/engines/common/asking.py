"""Engines whose models are elsewhere: each job is a coroutine, on an event loop in a thread of its
own. What comes is put into a queue, which a step empties."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from anyio import CancelScope

from ipc.messages.events import Event, Terminal
from ipc.messages.jobs import Job
from worker.engine import Engine
from worker.engines.common.arrivals import Arrivals

# How long a step waits for what comes, and so at most a new job or a cancellation for the step.
STEP_S = 0.02
CLOSE_S = 5.0

T = TypeVar("T")
# Takes what belongs together, of one job.
Tell = Callable[[Sequence[Event]], None]


class Asking(Engine):
    """Has every job asked by `_ended`, as many at once as it was opened with slots."""

    def __init__(self) -> None:
        self._slots = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread
        # What belongs together, with the request that it came from: a job's id may be used again
        # after a drop.
        self._arrived: Arrivals[tuple[_Request, Sequence[Event]]] = Arrivals(STEP_S)
        self._running: dict[str, _Request] = {}

    @abstractmethod
    async def _ended(self, job: Job, tell: Tell) -> Terminal:
        """Have the job answered; what comes before its end is told."""

    async def _release(self) -> None:
        """Give back what the loop's coroutines used; called once, when none of them runs."""

    def admit(self, job: Job) -> bool:
        if len(self._running) >= self._slots:
            return False
        request = self._running[job.id] = _Request()
        self._begin(self._work(request, job))
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self._running else None

    def step(self) -> list[Event]:
        """Everything that has come, waiting a moment for the first of it."""
        arrived = self._arrived.drain()
        return [one for request, events in arrived for one in self._accept(request, events)]

    def drop(self, job_id: str) -> None:
        """End what was asked for the job, by which who was asked learns that nobody waits."""
        request = self._running.pop(job_id, None)
        if request is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(request.drop)

    def close(self) -> None:
        if self._loop is None:
            return
        with contextlib.suppress(TimeoutError):
            self._begin(self._shut()).result(CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()
        self._loop = None

    def _open(self, slots: int, thread_name: str) -> None:
        """Start the loop: from here on `close` is due."""
        self._slots = slots
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=thread_name, daemon=True
        )
        self._thread.start()

    def _begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _accept(self, request: _Request, events: Sequence[Event]) -> Sequence[Event]:
        job_id = events[0].job
        if self._running.get(job_id) is not request:
            return []
        if isinstance(events[-1], Terminal):
            del self._running[job_id]
        return events

    # --- on the event loop's thread ---

    async def _work(self, request: _Request, job: Job) -> None:
        """One job, from what is asked for it to its terminal event."""

        def tell(events: Sequence[Event]) -> None:
            self._arrived.put((request, events))

        with request.scope():
            tell([await self._ended(job, tell)])

    async def _shut(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._release()


class _Request:
    """What a job asks for, until it is dropped. For the event loop's thread.

    A scope ends it, and not its task's `cancel`: an HTTP client closes other requests' idle
    connections meanwhile, which it shields from scopes only and would otherwise lose while they are
    open.
    """

    def __init__(self) -> None:
        self._scope: CancelScope | None = None
        self._dropped = False

    def scope(self) -> CancelScope:
        """What it runs in; ended already if it was dropped before it began."""
        self._scope = CancelScope()
        if self._dropped:
            self._scope.cancel()
        return self._scope

    def drop(self) -> None:
        self._dropped = True
        if self._scope is not None:
            self._scope.cancel()
