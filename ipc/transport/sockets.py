"""ZeroMQ sockets on an asyncio loop, drained by callback: no task and no future per message.

ZeroMQ's descriptor is edge-triggered: it becomes readable when *something* changed, and both a
receive and a send may consume that edge. So a `Port` reads until there is nothing left, and looks
again after each send. The first message is what the edge was for and is read at once. Before any
other one is read it asks whether there is one: an exception for an empty socket costs several times
as much, and there would be one for each token of an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import zmq

from ipc.transport.wire import MAX_BLOB_BYTES, MAX_HEADER_BYTES

logger = logging.getLogger(__name__)

# sun_path holds 108 bytes with its terminator (unix(7)); ZeroMQ binds "<path>" itself.
MAX_PATH_BYTES = 107
# Messages handled in one turn, so that a flood on one socket cannot starve the loop.
BURST = 64
# As plain numbers: an enumeration makes a new one of each operation, and there are some a token.
_IN = int(zmq.POLLIN)
_NOBLOCK = int(zmq.NOBLOCK)
_MORE_FOLLOW = int(zmq.NOBLOCK | zmq.SNDMORE)

OnMessage = Callable[[list[bytes]], None]


def ipc_endpoint(path: Path) -> str:
    """The ZeroMQ address of a socket file. Raises `ValueError` where the path is too long."""
    size = len(bytes(path))
    if size > MAX_PATH_BYTES:
        raise ValueError(
            f"socket path of {size} bytes is over the system's {MAX_PATH_BYTES}: {path}; "
            "set EDGE_SERVE_RUN_DIR to a shorter folder"
        )
    return f"ipc://{path}"


def is_private(folder: Path) -> bool:
    """Whether it is a folder that only this user can enter; a link to one is not."""
    with contextlib.suppress(OSError):
        found = folder.lstat()
        mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        return mine and not found.st_mode & 0o077
    return False


class SocketFile:
    """The file by which a bound socket is found. What is connected goes on without it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bound = path.lstat()

    def is_there(self) -> bool:
        """Whether it is still the one that was bound."""
        with contextlib.suppress(OSError):
            return os.path.samestat(self.path.lstat(), self._bound)
        return False


class Port:
    """One socket, read by ``on_message`` on the running loop. Owns the socket and closes it.

    Other threads may send by it, and nothing else: a lock gives them the socket in turn, which
    ZeroMQ allows.
    """

    def __init__(self, socket: zmq.Socket[bytes], on_message: OnMessage) -> None:
        self._socket = socket
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._fd = int(socket.getsockopt(zmq.FD))
        self._turn = threading.Lock()
        self._is_due = False  # a look is on its way, for which no edge will come
        self._open = True
        self._loop.add_reader(self._fd, self._drain)
        with self._turn:
            self._look_again()

    def bind_again(self, path: Path) -> None:
        """Bind at ``path`` where the file has gone. The lost one stays bound, since its end would
        be the end of those who are connected by it. Raises `OSError`."""
        with self._turn:
            _bind(self._socket, path)

    def send(self, frames: Sequence[bytes]) -> bool:
        """Hand ``frames`` to ZeroMQ, from any thread. False: the peer is gone or takes no more,
        nothing was sent."""
        with self._turn:
            if not self._open:
                return False
            try:
                for frame in frames[:-1]:
                    self._socket.send(frame, _MORE_FOLLOW)
                self._socket.send(frames[-1], _NOBLOCK)
            except zmq.ZMQError as error:
                if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                    raise
                return False
            finally:
                self._look_again()
        return True

    def read(self) -> None:
        """Handle all that is there now, before anything else that is due. For sockets whose peers
        send less than can be read, or are dead."""
        while (frames := self._take()) is not None:
            self._deliver(frames)

    def close(self, linger_ms: int = 0) -> None:
        """Release the socket; what was not sent yet gets ``linger_ms`` more. Idempotent."""
        with self._turn:
            if not self._open:
                return
            self._open = False
            self._loop.remove_reader(self._fd)
            self._socket.close(linger=linger_ms)

    def _look_again(self) -> None:
        """Have what has come looked at, though its edge is gone. Called in turn, by any thread."""
        if self._open and not self._is_due and self._has_mail():
            self._is_due = True
            self._loop.call_soon_threadsafe(self._on_due)

    def _on_due(self) -> None:
        self._is_due = False
        self._drain()

    def _drain(self) -> None:
        frames = self._take_first()
        left = BURST
        while frames is not None:
            self._deliver(frames)
            left -= 1
            if not left:
                with self._turn:
                    self._look_again()
                return
            frames = self._take()

    def _take_first(self) -> list[bytes] | None:
        """The message that should have come; None where something else has, say room to send."""
        with self._turn:
            if not self._open:
                return None
            try:
                return self._receive()
            except zmq.Again:
                return None

    def _take(self) -> list[bytes] | None:
        """The next message, if there is one."""
        with self._turn:
            if self._open and self._has_mail():
                return self._receive()
        return None

    def _receive(self) -> list[bytes]:
        """The next message. ZeroMQ's own frames say whether more follow, which is otherwise a
        question to the socket for each."""
        frame = self._socket.recv(_NOBLOCK, copy=False)
        frames = [frame.bytes]
        while frame.more:
            frame = self._socket.recv(_NOBLOCK, copy=False)
            frames.append(frame.bytes)
        return frames

    def _has_mail(self) -> bool:
        """Whether there is a message; where there is none its edge will come."""
        return bool(int(self._socket.getsockopt(zmq.EVENTS)) & _IN)

    def _deliver(self, frames: list[bytes]) -> None:
        try:
            self._on_message(frames)
        except Exception:
            # One bad message must never stop a process from reading the next.
            logger.exception("message_dropped", extra={"frames": len(frames)})


def bind_router(context: zmq.Context[zmq.Socket[bytes]], path: Path, hwm: int) -> zmq.Socket[bytes]:
    """A ROUTER at ``path`` that fails loudly on unknown peers and holds ``hwm`` messages a peer.

    Raises `OSError`."""
    socket = _socket(context, zmq.ROUTER, hwm)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    try:
        _bind(socket, path)
    except OSError:
        socket.close()
        raise
    return socket


def _bind(socket: zmq.Socket[bytes], path: Path) -> None:
    try:
        socket.bind(ipc_endpoint(path))
    except zmq.ZMQError as error:
        raise OSError(error.errno, f"cannot bind {path}: {error.strerror}") from None


def connect_dealer(
    context: zmq.Context[zmq.Socket[bytes]], endpoint: str, identity: str, hwm: int
) -> zmq.Socket[bytes]:
    """A DEALER that the ROUTER at ``endpoint`` knows by ``identity``."""
    socket = dealer(context, identity, hwm)
    socket.connect(endpoint)
    return socket


def dealer(context: zmq.Context[zmq.Socket[bytes]], identity: str, hwm: int) -> zmq.Socket[bytes]:
    """The same before it connects, for those who watch how that goes."""
    socket = _socket(context, zmq.DEALER, hwm)
    socket.setsockopt(zmq.IDENTITY, identity.encode())
    return socket


def _socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, hwm: int) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, hwm)
    socket.setsockopt(zmq.RCVHWM, hwm)
    # One frame; the codec checks the sum. A larger frame makes ZeroMQ drop the connection.
    socket.setsockopt(zmq.MAXMSGSIZE, max(MAX_HEADER_BYTES, MAX_BLOB_BYTES))
    return socket
