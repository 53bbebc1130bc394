"""Bytes to a server and back: what a client does that no HTTP library would do."""

from __future__ import annotations

import contextlib
import re
import socket
import time

DEADLINE_S = 60.0


class Raw:
    """One connection."""

    def __init__(self, port: int, *, receive_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(("127.0.0.1", port))

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes | bytearray) -> Raw:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(b"".join(parts))
        return self

    def read_until(self, mark: bytes) -> bytes:
        """What comes up to ``mark``, or up to the end of the connection."""
        data = b""
        while mark not in data:
            got = self.socket.recv(65536)
            if not got:
                break
            data += got
        return data

    def read_all(self) -> bytes:
        """Everything until the server closes. Fails when it does not within the deadline."""
        data = b""
        end_at = time.monotonic() + DEADLINE_S
        while time.monotonic() < end_at:
            try:
                got = self.socket.recv(65536)
            except ConnectionResetError:
                return data
            if not got:
                return data
            data += got
        raise AssertionError(f"the connection stays open after {data[:200]!r}")

    def trickle(self, data: bytes, pause_s: float = 0.02) -> bytes:
        """Send ``data`` one byte at a time until the server has enough; then all that it said."""
        self.socket.settimeout(pause_s)
        got = b""
        end_at = time.monotonic() + DEADLINE_S
        for at in range(len(data)):
            assert time.monotonic() < end_at, "the server is still patient"
            self.send(data[at : at + 1])
            try:
                got += (part := self.socket.recv(65536))
            except TimeoutError:
                continue
            except ConnectionResetError:
                return got
            if not part:
                return got
        raise AssertionError("the server took it all")


def statuses(answer: bytes) -> list[int]:
    """The status of each answer in ``answer``."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
