"""A model of the cluster, as this box's engine for it: each job is a call of a replica somewhere.

Queue, credit, retries, migration and metrics are the frontend's, as for any worker. Ray chooses the
replica, and says when it has died.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ipc.cluster import NODE, Node
from ipc.messages.control import Scale, Shared, Wanted
from ipc.messages.errors import InternalError, QueueFull, ServeError, Unavailable, WorkerCrashed
from ipc.messages.events import Event, Failed, Piece, Terminal
from ipc.messages.jobs import Job
from ipc.messages.spec import Cluster, Loaded, Spec
from ipc.runtime import durable
from ipc.transport.wire import encode
from worker.cluster import messages
from worker.cluster.connection import NoCluster, connect, member_of
from worker.cluster.deploying import deployed
from worker.cluster.meeting import Meeting
from worker.cluster.placement import app_of
from worker.cluster.silence import Watch
from worker.engine import LoadError, Stage
from worker.engines.common.asking import Asking, Tell

logger = logging.getLogger(__name__)

POLL_S = 1.0


class ClusterEngine(Asking):
    """Asks replicas. Where one dies its jobs have not begun, or have broken off. ``tell`` is called
    with how the model stands in the cluster, by any thread."""

    def __init__(self, tell: Callable[[Shared], None] = lambda _: None) -> None:
        super().__init__()
        self._handle: Any
        self._tell = tell
        self._meeting: Meeting | None = None
        self._watch = Watch()
        self._folder = Path()
        self._node = ""  # Ray's name of this box's node as this process was let in
        self._is_lost = False
        self._unheard: dict[object, float] = {}  # since when calls wait for their first word

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        """Raises `LoadError`."""
        assert spec.cluster is not None
        _connect(spec.cluster, stage, spec.load_stall_s)
        self._folder = Path(spec.cluster.folder)
        self._node = node_of(self._folder)
        member = member_of(self._folder)
        told = deployed(spec.cluster, stage, is_head=member.is_head)
        from ray import serve

        self._handle = serve.get_app_handle(app_of(spec.name)).options(stream=True)
        self._open(spec.slots, "cluster")
        self._meeting = Meeting(spec.cluster.served, member, self._tell, self._unheard_s)
        threading.Thread(target=self._meeting.run, name="meeting", daemon=True).start()
        # Pieces of input and prefixes that are read again would have to find the same replica.
        return replace(told.loaded, device="cluster", streams_input=False, keeps_prefixes=False)

    def on_cluster(self, message: Wanted | Scale) -> None:
        """What the supervisor says to the other boxes, or to the cluster. From any thread."""
        if self._meeting is None:
            return
        if isinstance(message, Wanted):
            self._meeting.on_wanted(message)
        else:
            self._meeting.on_scale(message.replicas)

    def step(self) -> list[Event]:
        """Raises `LoadError` where this process reaches no replica any more, by which it ends."""
        if self._is_lost:
            raise LoadError("the replicas are not reached since this box's node has begun anew")
        return super().step()

    def close(self) -> None:
        if self._meeting is not None:
            self._meeting.end()
        super().close()

    def _unheard_s(self) -> float:
        """For how long the oldest call waits for its first word: for a replica with room, mostly.
        In whole seconds, as what is told of it shall change no more often."""
        since = min(self._unheard.copy().values(), default=None)
        return 0.0 if since is None else float(int(time.monotonic() - since))

    # --- on the event loop's thread ---

    async def _ended(self, job: Job, tell: Tell) -> Terminal:
        began = bool(job.written)

        def pass_on(events: list[Event]) -> None:
            nonlocal began
            began = began or any(isinstance(event, Piece) for event in events)
            tell(events)

        try:
            return await self._asked(job, pass_on)
        except ServeError as error:
            return Failed(job=job.id, error=error.info())
        except Exception as error:
            return failed(job.id, error, began=began)

    async def _asked(self, job: Job, tell: Callable[[list[Event]], None]) -> Terminal:
        """Raises what `_called` does. A call of which nothing has come is made anew, to another
        replica as far as Ray knows which one is silent; the job's deadline bounds that."""
        patience_s = messages.FIRST_S
        call = object()
        self._unheard[call] = time.monotonic()

        def on_word() -> None:
            self._unheard.pop(call, None)

        try:
            while True:
                try:
                    return await self._called(job, tell, patience_s, on_word)
                except Unanswered:
                    logger.warning("replica_silent", extra={"job": job.id, "for_s": patience_s})
                    if self._watch.hears_none(patience_s):
                        self._on_none_heard(patience_s)
                    patience_s *= 2
        finally:
            on_word()

    def _on_none_heard(self, for_s: float) -> None:
        """No replica has been heard of for so long. Where this box's node has begun anew, it was
        cut off and is not any more; but Ray's router here may know only replicas that have
        gone, and its connections wait for up to a minute. Raises `Unavailable` where the control
        service has not been heard of either.
        """
        self._is_lost = node_of(self._folder) not in ("", self._node)
        if self._is_lost:
            return
        if self._meeting is not None and self._meeting.is_silent(for_s):
            raise Unavailable(
                "this box does not reach the others of its cluster", retry_after_s=messages.FIRST_S
            )

    async def _called(
        self,
        job: Job,
        tell: Callable[[list[Event]], None],
        patience_s: float,
        on_word: Callable[[], None],
    ) -> Terminal:
        """Raises what Ray does, `Unanswered` where no word comes for ``patience_s``, and
        `TimeoutError` where a replica falls silent that had begun."""
        response = self._handle.answer.remote(encode(job), job.deadline_at - time.monotonic())
        ended = False
        try:
            async with self._watch.call(patience_s) as call:
                async for frames in response:
                    if not call.heard:
                        on_word()
                    call.on_word()
                    events = messages.events.decode(frames).events if frames else []
                    last = events[-1] if events else None
                    ended = isinstance(last, Terminal)
                    if before := events[:-1] if ended else events:
                        tell(before)
                    if isinstance(last, Terminal):
                        return last
        except TimeoutError:
            if call.heard or not call.given_up:
                raise
            raise Unanswered from None
        finally:
            response.cancel()  # which lets the replica go, also where all has come
        raise InternalError("the replica has ended an answer without its end")


class Unanswered(Exception):
    """A call of which not one word has come."""


def node_of(folder: Path) -> str:
    """Ray's name of the node that runs on this box: another one when it has begun anew."""
    node = durable.read_json(folder / NODE, Node)
    return node.id if node is not None else ""


def failed(job_id: str, error: Exception, *, began: bool) -> Failed:
    """What becomes of a job whose call has failed with ``error``."""
    kind = type(error).__name__
    logger.warning("replica_failed", extra={"job": job_id, "error": kind})
    if kind == "BackPressureError":
        full = QueueFull("all replicas of this model have enough to do", retry_after_s=1.0)
        return Failed(job=job_id, error=full.info())
    if kind == "DeploymentUnavailableError":
        away = Unavailable("no replica of this model runs", retry_after_s=5.0)
        return Failed(job=job_id, error=away.info())
    if kind.startswith("RayTaskError"):  # an exception of ours, out of the replica
        broken = InternalError("the replica could not take this request")
        return Failed(job=job_id, error=broken.info())
    gone = WorkerCrashed("the replica that worked on this request has gone", retry_after_s=1.0)
    return Failed(job=job_id, error=gone.info(), began=began, broke_off=began)


def _connect(cluster: Cluster, stage: Stage, patience_s: float) -> None:
    """Be let in once this box's node is up. Raises `LoadError`."""
    folder = Path(cluster.folder)
    give_up_at = time.monotonic() + patience_s
    stage("joining the cluster")
    while True:
        try:
            return connect(folder, member_of(folder))
        except ImportError as error:
            raise LoadError(f"Ray is not installed here: {error}") from None
        except NoCluster as error:
            if time.monotonic() > give_up_at:
                raise LoadError(str(error), permanent=False) from error
            stage(f"waiting: {error}")
            time.sleep(POLL_S)
