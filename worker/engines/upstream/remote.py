"""Any OpenAI-compatible server elsewhere as an engine: vLLM, TGI, llama-server, another edge-serve.

The requests run on an event loop in a thread of their own and put what comes into a queue; a step
empties the queue. So a remote model has the same queue, credit, deadlines and metrics as a local
one. Every job is a request of its own: batching is the upstream's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import httpx2
from anyio import CancelScope
from msgspec.structs import replace

from ipc.engines import RemoteOptions
from ipc.messages.errors import QueueFull, ServeError, Unavailable
from ipc.messages.events import Done, Event, Failed, Piece
from ipc.messages.jobs import EmbedInput, Job
from ipc.messages.spec import Loaded, Spec
from worker.engine import Engine, LoadError, Stage, options_of
from worker.engines.common.arrivals import Arrivals
from worker.engines.upstream.client import OnPiece, Upstream, as_ours
from worker.engines.upstream.servers import ANY, Server, server_of
from worker.engines.upstream.text import Listed

logger = logging.getLogger(__name__)

# How long a step waits for the upstream, and so at most a new job or a cancellation for the step.
STEP_S = 0.02
POLL_S = 0.5
CLOSE_S = 5.0
# The first embedding may have to wait for an upstream that loads its model on demand.
FIRST_EMBEDDING_S = 60.0

T = TypeVar("T")


class Remote(Engine):
    """An engine for every task, whose model is in another server. Options: `RemoteOptions`.

    Proxy variables are not read and redirects not followed.

    While the upstream is away its jobs fail at once with 503 and the worker stays: a restart would
    mend nothing, and the first job after its return is served. At load it is waited for.
    """

    def __init__(self) -> None:
        self._spec: Spec
        self._name: str | None  # of the model there, where it is known
        self._upstream: Upstream
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread
        # Each event with the request that it came from: a job's id may be used again after a drop.
        self._arrived: Arrivals[tuple[_Request, Event]] = Arrivals(STEP_S)
        self._running: dict[str, _Request] = {}

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._open(spec, options_of(spec, RemoteOptions))
        try:
            return self._meet(stage, spec.load_stall_s)
        except BaseException:
            self.close()
            raise

    def admit(self, job: Job) -> bool:
        if len(self._running) >= self._spec.slots:
            return False
        request = self._running[job.id] = _Request()
        self._begin(self._work(request, job))
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self._running else None

    def step(self) -> list[Event]:
        """Everything that has come, waiting a moment for the first of it."""
        return [event for arrived in self._arrived.drain() for event in self._accept(*arrived)]

    def drop(self, job_id: str) -> None:
        """Close the job's request, by which the upstream learns that nobody waits for it."""
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

    def _accept(self, request: _Request, event: Event) -> list[Event]:
        if self._running.get(event.job) is not request:
            return []
        if not isinstance(event, Piece):
            del self._running[event.job]
        return [event]

    # --- before the first job ---

    def _open(self, spec: Spec, options: RemoteOptions) -> None:
        self._spec = spec
        self._name = options.model
        self._upstream = Upstream(spec, options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream", daemon=True)
        self._thread.start()

    def _meet(self, stage: Stage, patience_s: float) -> Loaded:
        """Wait until the upstream answers. Raises `LoadError` where it refuses, or never does."""
        where = self._upstream.where
        give_up_at = time.monotonic() + patience_s
        stage(f"asking {where}")
        while True:
            try:
                return self._begin(self._look()).result()
            except (ServeError, httpx2.HTTPError, TimeoutError) as error:
                known = as_ours(error)
            if not isinstance(known, Unavailable | QueueFull):
                raise LoadError(f"{where}: {known.message}")
            if time.monotonic() > give_up_at:
                why = f"{where} was not ready within {patience_s:.0f} s: {known.message}"
                raise LoadError(why, permanent=False)
            self._on_wait(stage, known.message)
            time.sleep(POLL_S)

    def _on_wait(self, stage: Stage, why: str) -> None:
        stage(f"waiting for {self._upstream.where}: {why}")

    async def _look(self) -> Loaded:
        """Ask the upstream what it has."""
        spec, upstream = self._spec, self._upstream
        found = await upstream.models()
        upstream.model = self._name or _only(found, spec.name)
        entry = next((each for each in found if each.id == upstream.model), None)
        upstream.server = _server(entry)
        if spec.task == "embed":
            return replace(self._loaded(entry), dimensions=await self._dimensions())
        if spec.task == "speak":
            return replace(self._loaded(entry), voices=await upstream.voices() or None)
        return await self._chat_facts(entry) if spec.task == "chat" else self._loaded(entry)

    def _loaded(self, entry: Listed | None) -> Loaded:
        return Loaded(
            device="remote",
            context_tokens=entry.context_tokens if entry else None,
            detail=f"{self._upstream.model} at {self._upstream.where}",
        )

    async def _dimensions(self) -> int:
        async with asyncio.timeout(FIRST_EMBEDDING_S):
            return (await self._upstream.embed(EmbedInput(texts=["Hello"]))).dimensions

    async def _chat_facts(self, entry: Listed | None) -> Loaded:
        """A server that says nothing of tools and gaps is taken at its word: it is asked, and
        answers or refuses. That a model thinks is told only where it is said."""
        loaded = self._loaded(entry)
        if entry is None:
            return replace(loaded, tools=True, fills=True)
        calls = entry.says("tools")
        if self._upstream.server.kind == "llama.cpp":  # which skips tools that a template lacks
            caps = (await self._upstream.told("/props")).get("chat_template_caps")
            calls = caps.get("supports_tools") if isinstance(caps, dict) else None
        return replace(
            loaded,
            tools=calls is not False,
            reasoning=bool(entry.says("reasoning")),
            fills=entry.says("fill") is not False,
        )

    # --- on the event loop's thread ---

    def _begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _work(self, request: _Request, job: Job) -> None:
        """One job, from its request to its terminal event."""

        def on_piece(piece: Piece) -> None:
            self._arrived.put((request, piece))

        with request.scope():
            self._arrived.put((request, await self._ended(job, on_piece)))

    async def _ended(self, job: Job, on_piece: OnPiece) -> Done | Failed:
        """Ask for the job's answer; returns its terminal event."""
        try:
            return Done(job.id, await self._upstream.answer(job, on_piece))
        except ServeError as error:
            return Failed(job=job.id, error=error.info())
        except Exception as error:
            facts = {"upstream": self._upstream.where, "error": type(error).__name__}
            logger.warning("upstream_failed", extra={"job": job.id, **facts})
            await self._on_broken()
            return Failed(job=job.id, error=as_ours(error).info())

    async def _on_broken(self) -> None:
        """A connection has failed, and its job is about to."""

    async def _shut(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._upstream.close()


class _Request:
    """What a job asks of the upstream, until it is dropped. For the event loop's thread.

    A scope ends it, and not its task's `cancel`: the client closes other requests' idle connections
    meanwhile, which it shields from scopes only and would otherwise lose while they are open.
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


def _server(entry: Listed | None) -> Server:
    if entry is None:
        return ANY
    return server_of(str(entry.owned_by or ""), entry.id, entry.says("chat-completion"))


def _only(found: list[Listed], name: str) -> str:
    """``name``, unless the upstream has one model only and calls it differently."""
    return found[0].id if len(found) == 1 else name
