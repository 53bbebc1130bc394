"""What an answer is written to: fewer packets than uvicorn writes, and a close that loses none."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Answering(Protocol):
    """The connection that an answer is for."""

    transport: asyncio.Transport

    @property
    def answer_begun(self) -> bool: ...

    def close(self) -> None: ...


class AnswerTransport:
    """What an answer is written to: its transport, but for how and when it is closed.

    An answer's head waits for what follows it: together they are one packet, and wake the client
    once. One to a HEAD request has nothing to wait for.
    """

    def __init__(self, connection: Answering, method: str) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._waits = method != "HEAD"
        self._head = b""
        self.is_closing = connection.transport.is_closing

    def write(self, data: bytes) -> None:
        if self._waits and self._connection.answer_begun:  # else it is "100 Continue"
            self._waits, self._head = False, data
        elif self.is_closing():  # uvloop raises where asyncio shrugs
            return
        elif self._head:
            self._transport.writelines((self._head, data))
            self._head = b""
        else:
            self._transport.write(data)

    def close(self) -> None:
        if self._head:
            self.write(b"")
        self._connection.close()
