"""The dispatcher before a socket that a test holds in a worker's place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
import zmq

from frontend.dispatch import link
from frontend.dispatch.budget import Budget
from frontend.dispatch.dispatcher import Dispatcher
from ipc.messages.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    ServeError,
    Unavailable,
    WorkerCrashed,
)
from ipc.messages.events import Event, Events, Failed
from ipc.messages.jobs import EmbedInput, Job
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState, Route
from ipc.transport.sockets import bind_router, ipc_endpoint
from ipc.transport.wire import Decoder, encode

SPEC = Spec(name="org/embed", task="embed", engine="echo", path="")
DEADLINE_S = 10.0
DEADLINE_MS = 10_000


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


def state(*routes: Route, faulty: Sequence[str] = ()) -> ModelState:
    return ModelState(
        name=SPEC.name,
        routes=list(routes),
        state="ready",
        was_ready=True,
        faulty=list(faulty),
    )


def test_a_model_answers_to_its_aliases_also_where_it_could_not_be_fetched() -> None:
    async def ask() -> None:
        aliases = {"small": SPEC.name, "big": "org/big"}
        dispatcher = Dispatcher([SPEC], "frontend", aliases=aliases)
        try:
            assert dispatcher.spec("small", "embed") is dispatcher.spec(SPEC.name, "embed") is SPEC
            failed = ModelState(name="org/big", routes=[], state="failed", reason="no network")
            dispatcher.set_states([failed])
            with pytest.raises(Unavailable, match=r"'big' is not available: no network"):
                dispatcher.spec("big", "embed")
            with pytest.raises(ModelNotFound, match="it has: org/embed, small, big"):
                dispatcher.spec("other", "embed")
            with pytest.raises(InvalidRequest, match="'small' is served at /v1/embeddings"):
                dispatcher.spec("small", "chat")
        finally:
            dispatcher.close()

    asyncio.run(ask())


def test_time_to_be_worked_on_begins_when_a_worker_is_given_the_request(tmp_path: Path) -> None:
    """Who waits in a long queue has lost none of it."""
    limited = msgspec.structs.replace(SPEC, request_timeout_s=5.0, queue_timeout_s=60.0)
    now = 1000.0

    async def outcomes() -> tuple[float, float, str]:
        nonlocal now
        worker = Worker(tmp_path)
        dispatcher = Dispatcher([limited], "frontend", clock=lambda: now)
        dispatcher.set_states([state(worker.route)])
        assert await dispatcher.connected(DEADLINE_S)
        first, second = (
            dispatcher.submit(name, limited, EmbedInput(texts=["x"]), 1, Budget(0).open())
            for name in ("a", "b")
        )
        peer, job = worker.receive()
        began = job.deadline_at - now
        now += 4.0
        worker.send(peer, Failed(job=job.id, error=InternalError("done").info()))
        with pytest.raises(InternalError):
            await first.next()
        _, job = worker.receive()
        left = job.deadline_at - now
        now += 4.0  # eight since it came
        dispatcher._tick()
        still_there = dispatcher.queues()[SPEC.name]["in_flight"]
        now += 2.0
        dispatcher._tick()
        assert still_there == 1
        with pytest.raises(DeadlineExceeded) as ended:
            await second.next()
        dispatcher.close()
        worker.close()
        return began, left, ended.value.message

    began, left, message = asyncio.run(outcomes())
    assert (began, left) == (5.0, 5.0)
    assert message == "the request took longer than its limit of 5 s"


async def ended_by(folder: Path, say: Callable[[Worker, bytes, Job], None]) -> ServeError:
    """The outcome of a job whose worker, when the news of its death is out, still does ``say``."""
    worker, dispatcher = Worker(folder), Dispatcher([SPEC], "frontend")
    try:
        dispatcher.set_states([state(worker.route)])
        assert await dispatcher.connected(DEADLINE_S)
        stream = dispatcher.submit("a", SPEC, EmbedInput(texts=["x"]), 1, Budget(0).open())
        peer, job = worker.receive()
        dispatcher.set_states([state()])
        say(worker, peer, job)
        with pytest.raises(ServeError) as ended:
            await stream.next()
        return ended.value
    finally:
        dispatcher.close()
        worker.close()


def test_a_dead_workers_last_words_count_though_they_come_after_the_news(tmp_path: Path) -> None:
    def say(worker: Worker, peer: bytes, job: Job) -> None:
        worker.send(peer, Failed(job=job.id, error=InternalError("the engine broke").info()))
        worker.close()

    assert isinstance(asyncio.run(ended_by(tmp_path, say)), InternalError)


def test_a_worker_that_dies_without_a_word_has_crashed(tmp_path: Path) -> None:
    def say(worker: Worker, _peer: bytes, _job: Job) -> None:
        worker.close()

    assert isinstance(asyncio.run(ended_by(tmp_path, say)), WorkerCrashed)


@pytest.mark.parametrize(("faulty", "refused"), [(["embed-1.1"], True), ([], False)])
def test_what_was_in_hand_at_two_crashes_is_refused_and_at_planned_ends_it_is_not(
    tmp_path: Path, faulty: list[str], refused: bool
) -> None:
    async def outcomes() -> list[str]:
        dispatcher, codes = Dispatcher([SPEC], "frontend"), []
        for attempt in range(3):
            folder = tmp_path / str(attempt)
            folder.mkdir()
            worker = Worker(folder)
            dispatcher.set_states([state(worker.route)])
            assert await dispatcher.connected(DEADLINE_S)
            try:
                stream = dispatcher.submit(
                    str(attempt), SPEC, EmbedInput(texts=["x"]), 1, Budget(0).open()
                )
                worker.receive()
                closed = msgspec.structs.replace(worker.route, open=False)
                dispatcher.set_states([state(closed)])  # it was draining, whatever ends it
                dispatcher.set_states([state(faulty=faulty)])
                await stream.next()
            except ServeError as error:
                codes.append(error.code)
            finally:
                worker.close()
        dispatcher.close()
        return codes

    codes = asyncio.run(outcomes())
    assert (codes[0], "poison_request" in codes) == ("worker_crashed", refused)


def test_a_dead_worker_whose_connection_stays_is_not_waited_for(tmp_path: Path) -> None:
    assert isinstance(asyncio.run(ended_by(tmp_path, lambda *_: None)), WorkerCrashed)


def test_a_ready_worker_counts_once_jobs_reach_it(tmp_path: Path) -> None:
    async def states() -> list[str]:
        dispatcher, worker = Dispatcher([SPEC], "frontend"), Worker(tmp_path)
        assert not await dispatcher.informed(0)
        dispatcher.set_states([state(worker.route)])
        assert await dispatcher.informed(0)
        seen = [dispatcher.state(SPEC.name).state]
        assert await dispatcher.connected(DEADLINE_S)
        seen.append(dispatcher.state(SPEC.name).state)
        worker.close()
        for _ in range(1000):
            await asyncio.sleep(0 if dispatcher.unconnected() else DEADLINE_S / 1000)
        seen.append(dispatcher.state(SPEC.name).state)
        dispatcher.close()
        return seen

    assert asyncio.run(states()) == ["starting", "ready", "starting"]


def test_a_worker_that_cannot_be_reached_is_reported_and_no_job_is_lost_in_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket's file is gone; the next generation serves what has waited."""
    monkeypatch.setattr(link, "CONNECT_S", 0.1)

    async def served() -> tuple[str, str]:
        dispatcher = Dispatcher([SPEC], "frontend")
        reported: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        dispatcher.on_misbehaved = lambda route, why: reported.set_result(
            f"{route.replica}.{route.generation} {why}"
        )
        lost = Route(replica="embed-1", generation=1, endpoint=f"ipc://{tmp_path}/x", credit=1)
        dispatcher.set_states([state(lost)])
        dispatcher.submit("a", SPEC, EmbedInput(texts=["x"]), 1, Budget(0).open())
        why = await asyncio.wait_for(reported, DEADLINE_S)
        assert dispatcher.queues()[SPEC.name]["depth"] == 1
        worker = Worker(tmp_path)
        dispatcher.set_states([state(msgspec.structs.replace(worker.route, generation=2))])
        assert await dispatcher.connected(DEADLINE_S)
        _, job = worker.receive()
        dispatcher.close()
        worker.close()
        return why, job.id

    assert asyncio.run(served()) == (
        "embed-1.1 its socket takes no connection within 0.1 s",
        "a",
    )


def test_a_worker_that_never_ends_what_it_was_told_to_drop_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place would be taken for good, and a few such jobs would take all of a model's places."""
    monkeypatch.setattr("frontend.dispatch.dispatcher.TICK_S", 0.01)
    spec = msgspec.structs.replace(SPEC, stall_s=0.5)

    async def reported() -> str:
        dispatcher, worker = Dispatcher([spec], "frontend"), Worker(tmp_path)
        said: asyncio.Queue[str] = asyncio.Queue()
        dispatcher.on_misbehaved = lambda _route, why: said.put_nowait(why)
        watch = asyncio.create_task(dispatcher.watch())
        try:
            dispatcher.set_states([state(worker.route)])
            assert await dispatcher.connected(DEADLINE_S)
            stream = dispatcher.submit("a", spec, EmbedInput(texts=["x"]), 1, Budget(0).open())
            worker.receive()
            stream.close()  # its client leaves, and the worker never says how the job ended
            async with asyncio.timeout(DEADLINE_S):
                return await said.get()
        finally:
            watch.cancel()
            dispatcher.close()
            worker.close()

    assert asyncio.run(reported()) == "it ended no job that was dropped 1 s ago"
