"""One replica of a model, in a process of Ray's: the engine and the loop of any worker, whose jobs
come by a call and whose events are what that yields."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator
from itertools import count

import msgspec
from msgspec.structs import replace

from ipc.messages.events import Event, Events, Terminal
from ipc.messages.spec import Spec
from ipc.transport.wire import encode
from worker.boot import boot
from worker.cluster import messages
from worker.cluster.placement import at_home
from worker.loop import EngineLoop

logger = logging.getLogger(__name__)

# What an engine has said last gets this long to leave before its process does.
LINGER_S = 0.5
EXIT_CRASHED = 1


class Stuck(Exception):
    """The engine makes no progress with work in hand."""


class Replica:
    """Loads the model of ``spec``, as JSON, from this box's models folder. ``digest`` is told on.

    Raises what loading does, which ends the replica.
    """

    def __init__(self, spec: bytes, digest: str) -> None:
        folder = os.environ.get("EDGE_SERVE_CLUSTER_MODELS", "")
        self._spec = at_home(msgspec.json.decode(spec, type=Spec), folder)
        booted = boot(self._spec, lambda stage: logger.info(stage))
        self._told = messages.Told(digest=digest, loaded=booted.loaded)
        self._calls: dict[str, _Call] = {}
        self._numbers = count()
        self._moved_at, self._progress = time.monotonic(), 0
        self._engine = EngineLoop(
            booted.engine, self._emit, tokenizes=booted.loaded.tokenizes, streams_input=False
        )
        threading.Thread(target=self._work, name="engine", daemon=True).start()

    async def told(self) -> bytes:
        """Who this is, as JSON."""
        return msgspec.json.encode(self._told)

    async def answer(self, frames: list[bytes], left_s: float) -> AsyncGenerator[list[bytes], None]:
        """The events of a job that has ``left_s`` for its end, and a beat where there are none.

        It ends when its caller lets it go: after the job's terminal event, or before, by which the
        job is dropped. Ray ends a call only once its caller has acknowledged every word of it, and
        stands still until then with all others: one whose caller is not heard of is broken off.
        """
        job = messages.jobs.decode(frames)
        # Those of several boxes may have one name.
        inner = f"{next(self._numbers)} {job.id}"
        call = self._calls[inner] = _Call()
        self._engine.offer(replace(job, id=inner, deadline_at=time.monotonic() + left_s))
        ended = False
        try:
            while not ended:
                events = [replace(event, job=job.id) for event in await call.next()]
                ended = any(isinstance(event, Terminal) for event in events)
                yield encode(Events(events)) if events else messages.BEAT
        finally:
            del self._calls[inner]
            if not ended:
                self._engine.cancel(inner)
        await asyncio.sleep(messages.LET_GO_S)
        raise asyncio.CancelledError

    async def check_health(self) -> None:
        """Asked by Ray. Raises `Stuck` for an engine that stands still, as any worker's would be
        found: a replica that is not well is replaced."""
        counters, now = self._engine.counters(), time.monotonic()
        if counters.progress != self._progress or not counters.in_flight:
            self._moved_at, self._progress = now, counters.progress
        elif now - self._moved_at > self._spec.stall_s:
            raise Stuck(f"no progress for {now - self._moved_at:.0f} s with work in hand")

    # --- the engine's thread ---

    def _emit(self, events: list[Event]) -> None:
        for event in events:
            if (call := self._calls.get(event.job)) is not None:
                call.put(event)

    def _work(self) -> None:
        try:
            self._engine.run()
        except Exception:
            logger.exception("engine_failed", extra={"model": self._spec.name})
        time.sleep(LINGER_S)
        os._exit(EXIT_CRASHED)


class _Call:
    """What comes of one job. Made on the event loop that waits for it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._come: list[Event] = []
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._note, event)

    async def next(self) -> list[Event]:
        """All that has come; nothing where nothing comes for a while."""
        try:
            async with asyncio.timeout(messages.BEAT_S):
                await self._news.wait()
        except TimeoutError:
            return []
        self._news.clear()
        come, self._come = self._come, []
        return come

    def _note(self, event: Event) -> None:
        self._come.append(event)
        self._news.set()
