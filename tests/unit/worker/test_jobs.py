"""A worker's data socket: who may cancel what, who is told what, what has no form on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest
import zmq

from ipc.messages.events import ChatResult, Delta, Done, Events, Failed, Usage
from ipc.messages.jobs import Cancel, EmbedInput, Job
from ipc.transport.sockets import connect_dealer, ipc_endpoint
from ipc.transport.wire import Decoder, encode
from worker.jobs import JobSocket, _frames
from worker.loop import EngineLoop

TURNS = 10_000  # of a millisecond or more
DONE = ChatResult(finish="stop", usage=Usage())


class Engine:
    """Writes down what the socket asks of the loop."""

    def __init__(self) -> None:
        self.offered: list[str] = []
        self.cancelled: list[str] = []
        self.forgotten: list[str] = []

    def offer(self, job: Job) -> None:
        self.offered.append(job.id)

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)

    def forget(self, job_id: str) -> None:
        self.forgotten.append(job_id)


class Frontend:
    """A peer by its name."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], path: Path, name: str) -> None:
        self._socket = connect_dealer(context, ipc_endpoint(path), name, hwm=0)

    def send(self, message: msgspec.Struct) -> None:
        self._socket.send_multipart(encode(message))

    async def receive(self) -> list[Any]:
        await until(lambda: bool(self._socket.poll(0)))
        return Decoder[Events](Events).decode(self._socket.recv_multipart()).events

    def close(self) -> None:
        self._socket.close()


class Scene:
    """A worker's socket with two frontends, ``ann`` and ``bob``."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], path: Path) -> None:
        self.engine = Engine()
        self.socket = JobSocket(context, path, cast(EngineLoop, self.engine))
        self.ann, self.bob = Frontend(context, path, "ann"), Frontend(context, path, "bob")

    async def ask(self, frontend: Frontend, name: str) -> None:
        asked = EmbedInput(texts=["x"])
        frontend.send(Job(id=name, model="m", input=asked, deadline_at=0.0))
        await until(lambda: name in self.engine.offered)


async def until(what: Callable[[], bool]) -> None:
    for _ in range(TURNS):
        if what():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("not in time")


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made = Scene(context, folder / "w")
    try:
        yield made
    finally:
        made.socket.close(linger_ms=0)
        made.ann.close()
        made.bob.close()
        context.term()


def test_a_frontend_cancels_its_own_jobs_and_no_others(tmp_path: Path) -> None:
    async def play() -> None:
        async with scene(tmp_path) as here:
            await here.ask(here.ann, "a")
            here.bob.send(Cancel("a"))
            await here.ask(here.bob, "b")  # so that his message before it has been read
            assert here.engine.cancelled == []
            here.ann.send(Cancel("a"))
            await until(lambda: here.engine.cancelled == ["a"])

    asyncio.run(play())


def test_each_frontend_is_told_of_its_jobs_up_to_their_end(tmp_path: Path) -> None:
    async def play() -> None:
        async with scene(tmp_path) as here:
            await here.ask(here.ann, "a")
            await here.ask(here.bob, "b")
            here.socket.send([Delta("a", "x"), Delta("b", "y"), Done("a", DONE)])
            assert await here.ann.receive() == [Delta("a", "x"), Done("a", DONE)]
            assert await here.bob.receive() == [Delta("b", "y")]
            here.socket.send([Delta("a", "after the end"), Delta("b", "z")])
            assert await here.bob.receive() == [Delta("b", "z")]
            await here.ask(here.ann, "a2")
            here.socket.send([Delta("a2", "x")])
            assert await here.ann.receive() == [Delta("a2", "x")]

    asyncio.run(play())


def test_the_jobs_of_a_frontend_that_is_gone_are_ended(tmp_path: Path) -> None:
    async def play() -> None:
        async with scene(tmp_path) as here:
            await here.ask(here.ann, "a")
            await here.ask(here.bob, "b")
            here.ann.close()

            def is_told() -> bool:
                here.socket.send([Delta("a", "x")])
                return bool(here.engine.forgotten)

            await until(is_told)
            assert here.engine.forgotten == ["a"]

    asyncio.run(play())


def test_jobs_that_come_while_another_thread_sends_are_all_heard(tmp_path: Path) -> None:
    """A send may take the edge by which a message would have been found."""
    count = 300

    async def play() -> None:
        async with scene(tmp_path) as here:
            await here.ask(here.ann, "a")

            def write() -> None:
                for at in range(count):
                    here.socket.send([Delta("a", str(at))])

            writing = asyncio.create_task(asyncio.to_thread(write))
            for at in range(count):
                asked = EmbedInput(texts=["x"])
                here.bob.send(Job(id=f"b{at}", model="m", input=asked, deadline_at=0.0))
                await asyncio.sleep(0)
            await writing
            await until(lambda: len(here.engine.offered) == 1 + count)
            told = [event.text for _ in range(count) for event in await here.ann.receive()]
            assert told == [str(at) for at in range(count)]

    asyncio.run(play())


def test_what_is_sent_by_a_socket_that_is_closed_goes_nowhere(tmp_path: Path) -> None:
    async def play() -> None:
        async with scene(tmp_path) as here:
            await here.ask(here.ann, "a")
            here.socket.close(linger_ms=0)
            here.socket.send([Delta("a", "x")])
            assert here.engine.forgotten == ["a"]

    asyncio.run(play())


def test_a_socket_that_is_closed_leaves_no_file(tmp_path: Path) -> None:
    async def play() -> None:
        async with scene(tmp_path):
            assert (tmp_path / "w").exists()

    asyncio.run(play())
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    "delta",
    [
        Delta("a", "half of one: \ud83d"),
        Delta("a", "x", np.float64(1.0)),  # type: ignore[arg-type]
        Delta("a", "x", np.int64(1)),  # type: ignore[arg-type]
        Delta("a", "x", 2**70),
        Delta("a", "x", object()),  # type: ignore[arg-type]
    ],
    ids=["surrogate", "float", "int", "large", "object"],
)
def test_events_that_cannot_be_sent_fail_their_jobs(delta: Any) -> None:
    sent = Decoder[Events](Events).decode(_frames([Delta("b", "fine"), delta]))
    assert [type(event) for event in sent.events] == [Failed, Failed]
    assert [event.job for event in sent.events] == ["b", "a"]
    assert all("cannot be sent" in event.error.message for event in sent.events)  # type: ignore[union-attr]
