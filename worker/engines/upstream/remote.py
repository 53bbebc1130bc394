"""Any OpenAI-compatible server elsewhere as an engine: vLLM, TGI, llama-server, another edge-serve.

The requests run on an event loop in a thread of their own and put what comes into a queue; a step
empties the queue. So a remote model has the same queue, credit, deadlines and metrics as a local
one. Every job is a request of its own: batching is the upstream's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import httpx2
from msgspec.structs import replace

from ipc.engine_options import RemoteOptions
from ipc.messages.errors import Draining, QueueFull, ServeError, Unavailable
from ipc.messages.events import Done, Failed, Piece, Terminal
from ipc.messages.jobs import Job
from ipc.messages.spec import Loaded, Spec
from ipc.option_checks import addresses
from worker.engine import LoadError, Stage, options_of
from worker.engines.common.asking import Asking, Tell
from worker.engines.upstream.client import OnPieces, Upstream, as_ours
from worker.engines.upstream.several.meeting import as_one, met
from worker.engines.upstream.several.servers import Servers

logger = logging.getLogger(__name__)

POLL_S = 0.5


class Remote(Asking):
    """An engine for every task, whose model is in another server, or in each of several. Options:
    `RemoteOptions`.

    Proxy variables are not read and redirects not followed.

    While the upstream is away its jobs fail at once with 503 and the worker stays: a restart would
    mend nothing, and the first job after its return is served. At load it is waited for.
    """

    def __init__(self) -> None:
        super().__init__()
        self._spec: Spec
        self._servers: Servers

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._set_up(spec, options_of(spec, RemoteOptions))
        try:
            return self._meet(stage, spec.load_stall_s)
        except BaseException:
            self.close()
            raise

    def _set_up(self, spec: Spec, options: RemoteOptions) -> None:
        self._spec = spec
        upstreams = [Upstream(spec, options, url) for url in addresses(options.base_url)]
        self._servers = Servers(
            upstreams, lambda one: met(one, spec, options.model), spec.queue_timeout_s
        )
        self._open(spec.slots, "upstream")

    def _meet(self, stage: Stage, patience_s: float) -> Loaded:
        """Wait until the upstream answers. Raises `LoadError` where it refuses, or never does."""
        where = self._servers.where
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
        stage(f"waiting for {self._servers.where}: {why}")

    async def _look(self) -> Loaded:
        """Ask the upstream what it has."""
        await self._servers.open()
        return as_one(self._servers.loaded)

    # --- on the event loop's thread ---

    async def _ended(self, job: Job, tell: Tell) -> Terminal:
        begun = bool(job.written)

        def on_pieces(pieces: Sequence[Piece]) -> None:
            nonlocal begun
            begun = True
            tell(pieces)

        end = await self._answered(job, on_pieces)
        if isinstance(end, Failed) and not begun:
            return replace(end, broke_off=False)
        return end

    async def _answered(self, job: Job, on_pieces: OnPieces) -> Terminal:
        """Ask for the job's answer; returns its terminal event. An answer breaks off where the
        server that has it is gone, or going; an error that it tells is the answer's end."""
        try:
            return Done(job.id, await self._servers.answer(job, on_pieces))
        except ServeError as error:
            return Failed(job=job.id, error=error.info(), broke_off=isinstance(error, Draining))
        except Exception as error:
            facts = {"upstream": self._servers.where, "error": type(error).__name__}
            logger.warning("upstream_failed", extra={"job": job.id, **facts})
            await self._on_broken()
            return Failed(job=job.id, error=as_ours(error).info(), broke_off=True)

    async def _on_broken(self) -> None:
        """A connection has failed, and its job is about to."""

    async def _release(self) -> None:
        await self._servers.close()
