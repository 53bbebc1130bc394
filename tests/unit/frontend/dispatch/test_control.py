"""The control socket, with a test in the supervisor's place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import zmq

from frontend.dispatch.control import Control
from ipc.messages.control import (
    Drain,
    FromChild,
    Hello,
    Left,
    Misbehaved,
    Models,
    Serve,
    States,
    ToChild,
)
from ipc.messages.state import ModelState, Route
from ipc.transport.sockets import bind_router, ipc_endpoint
from ipc.transport.wire import Decoder, encode
from tests.unit.frontend.dispatch.history import SPEC

DEADLINE_S = 60.0
DEADLINE_MS = 60_000


class Supervisor:
    """Reads and answers by hand, outside of the loop."""

    def __init__(self, folder: Path) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = bind_router(self._context, folder / "c", hwm=0)
        self.endpoint = ipc_endpoint(folder / "c")
        self._peer = b""

    def receive(self) -> FromChild:
        assert self._socket.poll(DEADLINE_MS)
        self._peer, *frames = self._socket.recv_multipart()
        return Decoder[FromChild](FromChild).decode(frames)

    def send(self, *messages: ToChild) -> None:
        for message in messages:
            self._socket.send_multipart([self._peer, *encode(message)])

    def close(self) -> None:
        self._socket.close(linger=0)
        self._context.term()


def test_what_is_said_before_the_frontend_listens_is_heard_in_its_order(tmp_path: Path) -> None:
    states = States([ModelState(name="m", routes=[], state="starting")])
    early: list[ToChild] = [Models([SPEC]), states]
    late: list[ToChild] = [Models([]), Drain(3.0)]

    async def heard() -> list[object]:
        supervisor = Supervisor(tmp_path)
        control = Control(supervisor.endpoint, 1)
        assert isinstance(supervisor.receive(), Hello)
        supervisor.send(Serve(specs=[]), *early)
        await asyncio.wait_for(control.serve, DEADLINE_S)
        said: asyncio.Queue[object] = asyncio.Queue()
        control.listen(said.put_nowait, said.put_nowait, said.put_nowait, said.put_nowait)
        supervisor.send(*late)
        found = [await asyncio.wait_for(said.get(), DEADLINE_S) for _ in [*early, *late]]
        control.close()
        supervisor.close()
        return found

    assert asyncio.run(heard()) == [*early, *late]


def test_the_supervisor_is_told_of_workers_to_replace_and_models_that_have_left(
    tmp_path: Path,
) -> None:
    async def told() -> list[FromChild]:
        supervisor = Supervisor(tmp_path)
        control = Control(supervisor.endpoint, 1)
        supervisor.receive()
        control.misbehaved(Route(replica="w", generation=2, endpoint="", credit=1), "noise")
        control.left("m")
        found = [supervisor.receive(), supervisor.receive()]
        control.close()
        supervisor.close()
        return found

    assert asyncio.run(told()) == [Misbehaved(replica="w", generation=2, why="noise"), Left("m")]
