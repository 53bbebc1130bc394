"""Clients by the hundred in one thread, who cost the machine that they share as little as can be.

An HTTP client would cost as much as the server does, on the same processors. So these speak HTTP by
hand over sockets that are kept, and know no more of it than what our server answers.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import re
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

KEPT_S = 5.0  # how long an idle connection is kept, as in httpx
TICK_S = 1.0
RESET = 0  # the connection ended before the answer did
SHADOW = -1  # the number of clients who ask nobody

_REFUSAL = (
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 60\r\ncontent-type: application/json\r\n"
    b"content-length: 217\r\nx-request-id: req_00000000000000000000000000000000\r\n\r\n"
) + bytes(217)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n")
_RETRY_AFTER = re.compile(rb"\r\nretry-after: (\d+)\r\n")


class Answer(NamedTuple):
    """One answer as its client saw it; times are monotonic seconds."""

    client: int
    status: int
    retry_after_s: int
    began_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        return self.ended_at - self.began_at


# When the client that got this answer asks again; None: it does not.
Again = Callable[[Answer], float | None]


def once(_: Answer) -> None:
    """A client that asks once."""


@dataclass(slots=True)
class _Connection:
    link: socket.socket
    mirror: socket.socket | None = None  # the other end, where that is ours too
    client: int = SHADOW
    began_at: float = 0.0
    idle_since: float = 0.0
    data: bytearray = field(default_factory=bytearray)


class Load:
    """Asks a server on this machine. ``requests`` gives the bytes of one request after the other;
    ``tick`` is called once a second."""

    def __init__(
        self, port: int, requests: Iterator[bytes], tick: Callable[[], None] = lambda: None
    ) -> None:
        self._port = port
        self._requests = requests
        self._tick = tick
        self._epoll = select.epoll()
        self._busy: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        self._mirrors: list[_Connection] = []

    def run(
        self, arrivals: Iterable[float], again: Again = once, shadows: Iterable[float] = ()
    ) -> list[Answer]:
        """New clients come at the times of ``arrivals``, whether or not others have been answered.
        Returns all answers, once everybody has theirs.

        At the times of ``shadows`` comes somebody who does all that a client does, but whose
        request goes nowhere: the answer is a 429 that was there before.
        """
        answers: list[Answer] = []
        times, shades, clients = iter(arrivals), iter(shadows), itertools.count()
        arrival, shadow = next(times, math.inf), next(shades, math.inf)
        back: list[tuple[float, int]] = []  # when which client comes again
        tick_at = time.monotonic()
        while min(arrival, shadow) < math.inf or back or self._busy:
            now = time.monotonic()
            while arrival <= now:
                self._send(self._kept(now) or self._connect(), next(clients), now)
                arrival = next(times, math.inf)
            while shadow <= now:
                self._send(self._mirrors.pop() if self._mirrors else self._mirror(), SHADOW, now)
                shadow = next(shades, math.inf)
            while back and back[0][0] <= now:
                _, client = heapq.heappop(back)
                self._send(self._kept(now) or self._connect(), client, now)
            if now >= tick_at:
                self._tick()
                tick_at = now + TICK_S
            first = min(arrival, shadow, back[0][0] if back else math.inf, tick_at)
            for answer in self._await(first):
                if answer.client == SHADOW:
                    continue
                answers.append(answer)
                if (at := again(answer)) is not None:
                    heapq.heappush(back, (at, answer.client))
        return answers

    def close(self) -> None:
        for connection in self._idle + self._mirrors:
            connection.link.close()
            if connection.mirror is not None:
                connection.mirror.close()
        self._epoll.close()

    def _send(self, connection: _Connection, client: int, now: float) -> None:
        connection.client, connection.began_at = client, now
        self._busy[connection.link.fileno()] = connection
        with contextlib.suppress(OSError):  # a broken connection is also one that can be read
            connection.link.send(next(self._requests))
        if connection.mirror is not None:
            connection.mirror.recv(1 << 16)
            connection.mirror.send(_REFUSAL)

    def _kept(self, now: float) -> _Connection | None:
        """A connection at hand, but none that the server may be closing at this moment."""
        connection = self._idle.pop() if self._idle else None
        if connection is None or now - connection.idle_since < KEPT_S:
            return connection
        for stale in (connection, *self._idle):  # the others are older still
            stale.link.close()
        self._idle.clear()
        return None

    def _connect(self) -> _Connection:
        made = socket.create_connection(("127.0.0.1", self._port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._epoll.register(made, select.EPOLLIN)
        return _Connection(made)

    def _mirror(self) -> _Connection:
        made, other = socket.socketpair()
        self._epoll.register(made, select.EPOLLIN)
        return _Connection(made, other)

    def _await(self, until: float) -> Iterator[Answer]:
        for number, _ in self._epoll.poll(max(0.0, until - time.monotonic())):
            connection = self._busy.get(number)
            if connection is None:
                self._forget(number)
                continue
            if (answer := self._read(connection)) is not None:
                del self._busy[number]
                yield answer

    def _forget(self, number: int) -> None:
        """The server has closed a connection that was idle."""
        (closed,) = (one for one in self._idle if one.link.fileno() == number)
        self._idle.remove(closed)
        closed.link.close()

    def _read(self, connection: _Connection) -> Answer | None:
        """The answer, once all of it is there; the connection is then kept, or closed if broken."""
        try:
            data = connection.link.recv(1 << 16)
        except OSError:
            data = b""
        now = time.monotonic()
        if not data:
            connection.link.close()
            return Answer(connection.client, RESET, 0, connection.began_at, now)
        connection.data += data
        end = connection.data.find(b"\r\n\r\n") + 4
        head = bytes(connection.data[:end])
        if end < 4 or len(connection.data) < end + int(_found(_LENGTH, head)):
            return None
        connection.data.clear()
        connection.idle_since = now
        (self._idle if connection.mirror is None else self._mirrors).append(connection)
        status, retry_after_s = int(head[9:12]), int(_found(_RETRY_AFTER, head))
        return Answer(connection.client, status, retry_after_s, connection.began_at, now)


def _found(field: re.Pattern[bytes], head: bytes) -> bytes:
    found = field.search(head)
    return found[1] if found else b"0"
