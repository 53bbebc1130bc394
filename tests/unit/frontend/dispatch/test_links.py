"""Links to workers over real sockets, which a test holds in the workers' place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zmq

from frontend.dispatch import link
from frontend.dispatch.budget import Budget
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.lane import route_id
from frontend.dispatch.links import Links
from frontend.dispatch.stream import Stream
from frontend.dispatch.waits import happens, tick
from ipc.messages.control import ModelDemand
from ipc.messages.errors import InternalError, ServeError, WorkerCrashed
from ipc.messages.events import Consumed, Event, Events, Failed
from ipc.messages.jobs import EmbedInput, Job
from ipc.messages.state import ModelState, Route
from ipc.transport.sockets import BURST, bind_router, ipc_endpoint
from ipc.transport.wire import Decoder, encode
from tests.unit.frontend.dispatch.history import SPEC

DEADLINE_S = 60.0
DEADLINE_MS = 60_000


class Worker:
    """Reads and answers by hand, outside of the loop, so that the dispatcher reads nothing yet."""

    def __init__(self, folder: Path) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = bind_router(self._context, folder / "w", hwm=0)
        self.route = Route(
            replica="embed-1", generation=1, endpoint=ipc_endpoint(folder / "w"), credit=1
        )

    def receive(self) -> tuple[bytes, Job]:
        assert self._socket.poll(DEADLINE_MS)
        peer, *frames = self._socket.recv_multipart()
        return peer, Decoder[Job](Job).decode(frames)

    def send(self, peer: bytes, *events: Event) -> None:
        self._socket.send_multipart([peer, *encode(Events(list(events)))])

    def close(self) -> None:
        self._socket.close(linger=DEADLINE_MS)
        self._context.term()


class Frontend:
    """A dispatcher with real links, and what it has had reported."""

    def __init__(self) -> None:
        self.reported: asyncio.Queue[str] = asyncio.Queue()
        self._links = Links("frontend", self)
        self.dispatcher = Dispatcher([SPEC], self._links)

    def misbehaved(self, route: Route, why: str) -> None:
        self.reported.put_nowait(f"{route_id(route)} {why}")

    def left(self, model: str) -> None:
        self.reported.put_nowait(f"{model} has left")

    def note(self, event: str, model: str | None = None, **facts: object) -> None:
        self.reported.put_nowait(f"{event} {model} {facts}")

    def demand(self, models: list[ModelDemand]) -> None:
        """No test here is about it."""

    def serve(self, *routes: Route) -> None:
        state = ModelState(name=SPEC.name, routes=list(routes), state="ready", was_ready=True)
        self.dispatcher.set_states([state])

    async def connected(self) -> bool:
        return await happens(self.dispatcher.connected, DEADLINE_S)

    def ask(self) -> Stream:
        asked = EmbedInput(texts=["x"])
        return self.dispatcher.submit("a", SPEC, asked, 1, Budget(0).open())

    def close(self) -> None:
        self.dispatcher.close()
        self._links.close_all()


async def ended_by(folder: Path, say: Callable[[Worker, bytes, Job], None]) -> ServeError:
    """The outcome of a job whose worker, when the news of its death is out, still does ``say``."""
    worker, frontend = Worker(folder), Frontend()
    try:
        frontend.serve(worker.route)
        assert await frontend.connected()
        stream = frontend.ask()
        peer, job = worker.receive()
        frontend.serve()
        say(worker, peer, job)
        with pytest.raises(ServeError) as ended:
            await stream.next()
        return ended.value
    finally:
        frontend.close()
        worker.close()


def test_a_dead_workers_last_events_are_delivered_after_the_news(tmp_path: Path) -> None:
    def say(worker: Worker, peer: bytes, job: Job) -> None:
        worker.send(peer, Failed(job=job.id, error=InternalError("the engine broke").info()))
        worker.close()

    assert isinstance(asyncio.run(ended_by(tmp_path, say)), InternalError)


def test_all_that_a_dead_worker_has_said_is_heard_however_much_it_is(tmp_path: Path) -> None:
    """More than a port reads in a turn, when the end of the connection is known by then."""

    def say(worker: Worker, peer: bytes, job: Job) -> None:
        for _ in range(8 * BURST):
            worker.send(peer, Consumed(job.id, 0))
        worker.send(peer, Failed(job=job.id, error=InternalError("the engine broke").info()))
        worker.close()

    assert isinstance(asyncio.run(ended_by(tmp_path, say)), InternalError)


def test_a_worker_that_dies_without_a_word_has_crashed(tmp_path: Path) -> None:
    def say(worker: Worker, _peer: bytes, _job: Job) -> None:
        worker.close()

    assert isinstance(asyncio.run(ended_by(tmp_path, say)), WorkerCrashed)


def test_a_dead_worker_whose_connection_stays_is_not_waited_for(tmp_path: Path) -> None:
    assert isinstance(asyncio.run(ended_by(tmp_path, lambda *_: None)), WorkerCrashed)


def test_a_ready_worker_counts_while_jobs_reach_it(tmp_path: Path) -> None:
    async def states() -> list[str]:
        frontend, worker = Frontend(), Worker(tmp_path)
        dispatcher = frontend.dispatcher
        assert not await happens(dispatcher.informed, 0)
        frontend.serve(worker.route)
        assert await happens(dispatcher.informed, 0)
        seen: list[str] = [dispatcher.state(SPEC.name).state]
        assert await frontend.connected()
        seen.append(dispatcher.state(SPEC.name).state)
        worker.close()
        for _ in range(1000):
            await asyncio.sleep(0 if dispatcher.unconnected() else DEADLINE_S / 1000)
        seen.append(dispatcher.state(SPEC.name).state)
        frontend.close()
        return seen

    assert asyncio.run(states()) == ["starting", "ready", "starting"]


def test_a_worker_that_cannot_be_reached_is_reported_and_no_job_is_lost_in_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket's file is gone; the next generation serves what has waited."""
    monkeypatch.setattr(link, "CONNECT_S", 0.1)

    async def served() -> tuple[str, str]:
        frontend = Frontend()
        lost = Route(replica="embed-1", generation=1, endpoint=f"ipc://{tmp_path}/x", credit=1)
        frontend.serve(lost)
        frontend.ask()
        why = await asyncio.wait_for(frontend.reported.get(), DEADLINE_S)
        assert frontend.dispatcher.queues()[SPEC.name]["depth"] == 1
        worker = Worker(tmp_path)
        frontend.serve(msgspec.structs.replace(worker.route, generation=2))
        assert await frontend.connected()
        _, job = worker.receive()
        frontend.close()
        worker.close()
        return why, job.id

    assert asyncio.run(served()) == (
        "embed-1.1 its socket takes no connection within 0.1 s",
        "a",
    )


def test_the_clock_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that never ends what it was told to drop is reported."""
    monkeypatch.setattr("frontend.dispatch.waits.TICK_S", 0.001)

    async def reported() -> str:
        frontend, worker = Frontend(), Worker(tmp_path)
        ticking = asyncio.create_task(tick(frontend.dispatcher))
        try:
            frontend.serve(worker.route)
            assert await frontend.connected()
            stream = frontend.ask()
            worker.receive()
            stream.close()
            return await asyncio.wait_for(frontend.reported.get(), DEADLINE_S)
        finally:
            ticking.cancel()
            frontend.close()
            worker.close()

    assert asyncio.run(reported()) == "embed-1.1 it ended no job that was dropped 1 s ago"
