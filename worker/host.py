"""A worker's main thread: it never computes.

It tells the supervisor each second how far the engine has come, and ends the process when the
engine has ended. The engine's thread loads, warms up, serves and closes, from first to last.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import zmq

from ipc.messages.control import (
    HEARTBEAT_S,
    Abandon,
    BootFailed,
    Drain,
    FromChild,
    Heartbeat,
    Hello,
    Loading,
    Noted,
    Prefixes,
    Ready,
    Scale,
    Shared,
    Start,
    ToChild,
    Wanted,
    child_id,
)
from ipc.messages.events import Event
from ipc.messages.spec import Loaded, Spec
from ipc.runtime import heap
from ipc.transport.sockets import Port, connect_dealer, ipc_endpoint
from ipc.transport.wire import Decoder, encode
from worker.boot import boot
from worker.chat.prefixes import form
from worker.chat.prefixes.account import PrefixAccount
from worker.chat.prefixes.rereading import Rereading
from worker.engine import Engine, LoadError, lacks_memory
from worker.engines import make
from worker.jobs import JobSocket
from worker.loop import EngineLoop

logger = logging.getLogger(__name__)

EXIT_CRASHED = 1
EXIT_BOOT_FAILED = 3
# Last words (the final events, say) get this long to leave before the process does.
LINGER_MS = 500
# The reason why a model cannot be served must not be overtaken by the news of the process's end,
# which needs no socket. The supervisor says at once that it has it.
NOTED_S = 2.0

P = ParamSpec("P")


class Host:
    """One worker process from hello to exit."""

    def __init__(self, control: str, run_dir: Path, replica: str, generation: int) -> None:
        self._hello = Hello(child=replica, generation=generation, pid=os.getpid())
        me = child_id(replica, generation)
        self._path = run_dir / me
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._decoder = Decoder[ToChild](ToChild)
        self._control = Port(connect_dealer(self._context, control, me, hwm=0), self._on_control)
        self._loop = asyncio.get_running_loop()
        self._engine: EngineLoop | None = None
        self._jobs: JobSocket | None = None
        self._on_cluster: Callable[[Wanted | Scale], None] | None = None
        self._noted = threading.Event()
        self._ended: asyncio.Future[int] = self._loop.create_future()

    async def run(self) -> int:
        """Work until the engine has ended; returns the process's exit status."""
        self._tell(self._hello)
        beat = asyncio.create_task(self._beat())
        try:
            return await self._ended
        finally:
            beat.cancel()
            if self._jobs is not None:
                self._jobs.close(LINGER_MS)
            self._control.close(LINGER_MS)
            self._context.term()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if self._engine is not None:
                self._tell(Heartbeat(counters=self._engine.counters()))
            if self._jobs is not None:
                self._jobs.mend()

    def _tell(self, message: FromChild) -> None:
        self._control.send(encode(message))

    def _on_control(self, frames: list[bytes]) -> None:
        message = self._decoder.decode(frames)
        if isinstance(message, Start):
            work = threading.Thread(target=self._work, args=(message,), name="engine", daemon=True)
            work.start()
        elif isinstance(message, Drain):
            self._finish()
        elif isinstance(message, Noted):
            self._noted.set()
        elif isinstance(message, Wanted | Scale) and self._on_cluster is not None:
            self._on_cluster(message)
        elif isinstance(message, Abandon) and self._jobs is not None:
            self._jobs.abandon(message.owner.encode())

    def _finish(self) -> None:
        if self._engine is not None:
            self._engine.finish()
        else:
            self._end(0)  # still loading: nobody waits for anything

    def _serve(self, engine: EngineLoop, ready: Ready) -> None:
        """Open the data socket, and only then say that this worker takes jobs."""
        heap.settle()
        try:
            self._jobs = JobSocket(self._context, self._path, engine)
        except OSError as error:  # its folder has gone; the next worker may find it again
            logger.error("no_socket", extra={"path": str(self._path), "why": str(error)})
            self._end(EXIT_CRASHED)
            return
        self._engine = engine
        self._tell(ready)

    def _end(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)

    # --- the engine's thread ---

    def _work(self, start: Start) -> None:
        status = EXIT_CRASHED
        try:
            engine, ready = self._boot(start)
            loop = EngineLoop(
                engine,
                self._emit,
                tokenizes=ready.loaded is not None and ready.loaded.tokenizes,
                streams_input=ready.loaded is not None and ready.loaded.streams_input,
                rereading=_rereading(start, ready.loaded),
                tell=lambda data: self._call(self._tell, Prefixes(data)),
            )
            self._call(self._serve, loop, ready)
            loop.run()
            engine.close()
            status = 0
        except LoadError as error:
            memory = lacks_memory(error)
            failed = BootFailed(
                reason=error.reason,
                permanent=error.permanent and not memory,
                outside=error.outside,
                memory=memory,
            )
            self._call(self._tell, failed)
            self._noted.wait(NOTED_S)
            status = EXIT_BOOT_FAILED
        except Exception:
            logger.exception("engine_failed", extra={"model": start.spec.name})
        finally:
            self._call(self._end, status)

    def _boot(self, start: Start) -> tuple[Engine, Ready]:
        booted = boot(start.spec, self._stage, self._engine_of)
        endpoint = ipc_endpoint(self._path)
        return booted.engine, Ready(loaded=booted.loaded, warm=booted.warm, endpoint=endpoint)

    def _engine_of(self, spec: Spec) -> Engine:
        """Not loaded yet. Raises `LoadError`."""
        if spec.cluster is None:
            return make(spec)
        from worker.cluster.engine import ClusterEngine

        engine = ClusterEngine(self._on_shared)
        self._on_cluster = engine.on_cluster
        return engine

    def _on_shared(self, stands: Shared) -> None:
        self._call(self._tell, stands)

    def _emit(self, events: list[Event]) -> None:
        """Send one step's events, before the next step begins and without another thread: to wake
        one, and to wait for it, would cost each token several times as much as it takes to send."""
        if self._jobs is not None:
            self._jobs.send(events)

    def _stage(self, stage: str) -> None:
        self._call(self._tell, Loading(stage))

    def _call(self, act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        self._loop.call_soon_threadsafe(lambda: act(*args, **kwargs))


def _rereading(start: Start, loaded: Loaded | None) -> Rereading | None:
    """What to read again, where the engine would keep it and prompts may be remembered."""
    if loaded is None or not loaded.keeps_prefixes or start.prefixes is None:
        return None
    account = PrefixAccount()
    if start.prefixes:
        try:
            account = form.decode(start.prefixes)
        except ValueError as error:  # of another release, as after an update
            logger.warning("prefixes_unreadable", extra={"why": str(error)})
    # Whatever the cache holds, it holds a prompt that is as long as may be.
    return Rereading(account, start.spec.name, start.spec.slots, loaded.context_tokens or 0)
