"""An HTTP/1.1 client that costs next to nothing, since it shares the processors with the server.

One request at a time on each connection; what comes back is kept in pieces with the time of each,
and looked at only after the clock has stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, NamedTuple, cast

import orjson
from httptools import HttpResponseParser

HOST = "127.0.0.1"
CONNECT_S = 10.0


class Answer(NamedTuple):
    """A whole answer. ``pieces`` and ``times`` stand in the order of arrival; times in seconds."""

    status: int
    pieces: list[bytes]
    times: list[float]
    sent_at: float
    ended_at: float

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def seconds(self) -> float:
        return self.ended_at - self.sent_at


class Connection(asyncio.Protocol):
    """One kept connection."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[float] | None = None
        self._pieces: list[bytes] = []
        self._times: list[float] = []
        self._now = 0.0

    async def ask(self, request: bytes) -> Answer:
        """Send ``request`` and wait for its answer; the caller sets the deadline.

        Raises `ConnectionError` when the server hangs up.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the server has closed the connection")
        self._pieces, self._times = [], []
        self._waiter = asyncio.get_running_loop().create_future()
        sent_at = perf_counter()
        self._transport.write(request)
        ended_at = await self._waiter
        status = self._parser.get_status_code()
        return Answer(status, self._pieces, self._times, sent_at, ended_at)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._now = perf_counter()
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc or ConnectionResetError("the server has hung up"))

    # Called by the parser.

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._times.append(self._now)

    def on_message_complete(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(self._now)


@asynccontextmanager
async def connected(port: int, count: int) -> AsyncIterator[list[Connection]]:
    """So many connections to this machine's ``port``, closed at the end."""
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    try:
        async with asyncio.timeout(CONNECT_S):
            for _ in range(count):
                _, connection = await loop.create_connection(Connection, HOST, port)
                connections.append(connection)
        yield connections
    finally:
        for connection in connections:
            connection.close()


async def ask_each(
    connections: Sequence[Connection], requests: Sequence[bytes], deadline_s: float
) -> list[Answer]:
    """All ``requests`` at once, each on a connection of its own.

    Raises `TimeoutError`, or `RuntimeError` with the body of an answer that is no success.
    """
    async with asyncio.timeout(deadline_s):
        pairs = zip(connections, requests, strict=True)
        answers = await asyncio.gather(*(one.ask(request) for one, request in pairs))
    for answer in answers:
        check(answer)
    return answers


def check(answer: Answer) -> Answer:
    """The answer, if it is a success. Raises `RuntimeError`."""
    if answer.status != 200:
        raise RuntimeError(f"status {answer.status}: {answer.body[:300]!r}")
    return answer


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()


def post(path: str, body: bytes, content_type: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def post_json(path: str, body: dict[str, Any]) -> bytes:
    return post(path, orjson.dumps(body), "application/json")


def post_file(path: str, fields: dict[str, str], name: str, data: bytes) -> bytes:
    return post(path, *form(fields, name, data))


def form(fields: dict[str, str], name: str, data: bytes) -> tuple[bytes, str]:
    """A multipart form with ``fields`` and one file, and its content type."""
    mark = b"--edge-serve-bench"
    parts = [
        mark + f'\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = b"".join([*parts, mark, head.encode(), data, b"\r\n", mark, b"--\r\n"])
    return body, "multipart/form-data; boundary=edge-serve-bench"
