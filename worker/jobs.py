"""A worker's data socket: jobs come in, events go out, each to the frontend that waits for it."""

from __future__ import annotations

import contextlib
import logging
from collections import defaultdict
from pathlib import Path

import zmq

from ipc.messages.errors import InternalError
from ipc.messages.events import Event, Events, Failed, Terminal
from ipc.messages.jobs import FromFrontend, Job, More
from ipc.transport.sockets import Port, SocketFile, bind_router, is_private
from ipc.transport.wire import Decoder, WireError, encode
from worker.loop import EngineLoop

logger = logging.getLogger(__name__)


class JobSocket:
    """Binds ``path``. Jobs come in on the event loop's thread, events go out on the engine's.

    Events are not bounded here: credit bounds the jobs, and each job's tokens bound its events;
    dropping one would break the promise of a terminal event."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], path: Path, engine: EngineLoop
    ) -> None:
        self._path = path
        self._engine = engine
        # Job id to the frontend's identity. Each thread touches it by single operations.
        self._owners: dict[str, bytes] = {}
        self._decoder = Decoder[FromFrontend](FromFrontend)
        self._port = Port(bind_router(context, path, hwm=0), self._on_message)
        self._file = SocketFile(path)

    def _on_message(self, frames: list[bytes]) -> None:
        owner, *rest = frames
        message = self._decoder.decode(rest)
        if isinstance(message, Job):
            self._owners[message.id] = owner
            self._engine.offer(message)
        elif self._owners.get(message.job) != owner:
            return
        elif isinstance(message, More):
            self._engine.more(message)
        else:
            self._engine.cancel(message.job)

    def mend(self) -> None:
        """Bind again where somebody has removed the socket's file, or its whole folder and the
        supervisor has made that again: the next frontend would not find this worker."""
        if self._file.is_there() or not is_private(self._path.parent):
            return
        with contextlib.suppress(OSError):
            self._port.bind_again(self._path)
            self._file = SocketFile(self._path)
            logger.warning("socket_bound_again", extra={"path": str(self._path)})

    def send(self, events: list[Event]) -> None:
        """Deliver one step's events, one message for each frontend concerned. On the engine's
        thread."""
        batches: dict[bytes, list[Event]] = defaultdict(list)
        for event in events:
            owner = self._owners.get(event.job)
            if owner is None:
                continue
            batches[owner].append(event)
            if isinstance(event, Terminal):
                self._owners.pop(event.job, None)
        for owner, batch in batches.items():
            if not self._port.send([owner, *_frames(batch)]):
                self.abandon(owner)

    def abandon(self, owner: bytes) -> None:
        """Nobody waits for this frontend's jobs any more: end them and tell no one."""
        orphans = [job_id for job_id, of in list(self._owners.items()) if of == owner]
        for job_id in orphans:
            self._owners.pop(job_id, None)
            self._engine.forget(job_id)
        if orphans:
            logger.warning("jobs_abandoned", extra={"count": len(orphans)})

    def close(self, linger_ms: int) -> None:
        self._port.close(linger_ms)
        with contextlib.suppress(OSError):  # it may have gone with its folder
            self._path.unlink()


def _frames(batch: list[Event]) -> list[bytes]:
    """One step's events, or the failure of their jobs where the frontend would not take them, or an
    engine put something in them that has no form on the wire, say a number of numpy's."""
    try:
        return encode(Events(batch))
    except (WireError, ValueError, TypeError, OverflowError, NotImplementedError) as error:
        logger.exception("events_unsendable", extra={"count": len(batch)})
        refused = InternalError(f"the result cannot be sent: {error}").info()
        return encode(Events([Failed(job=event.job, error=refused) for event in batch]))
