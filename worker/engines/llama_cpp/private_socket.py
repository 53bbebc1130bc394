"""llama.cpp's server behind HTTP, on a socket that nobody else can reach."""

from __future__ import annotations

import http.client
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

# For each part of an answer: a text of a megabyte takes a second or two.
_TIMEOUT_S = 60.0
_DATA = b"data: "


class PrivateSocket:
    """Where llama.cpp's server listens: at ``path``, in a folder that only this user can enter.

    Once it is bound, `hide` takes the path away wherever the kernel lets a process reach a socket
    by a descriptor: then nobody else can.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edge-serve-")
        self.path = f"{self._folder.name}/llama.sock"
        self._descriptor: int | None = None

    def hide(self) -> None:
        if sys.platform == "linux" and Path("/proc/self/fd").is_dir():
            self._descriptor = os.open(self.path, os.O_PATH)
            self._folder.cleanup()

    def connect(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(_TIMEOUT_S)
        hidden = self._descriptor is not None
        connected.connect(f"/proc/self/fd/{self._descriptor}" if hidden else self.path)
        return connected

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._folder.cleanup()

    def ask(self, path: str, asked: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """The status and the body of an answer, to a POST where something is ``asked``. Raises
        `OSError` or `http.client.HTTPException`."""
        connection = self._connection()
        try:
            answer = _answer(
                connection, path, None if asked is None else msgspec.json.encode(asked)
            )
            return answer.status, answer.read()
        finally:
            connection.close()

    def stream(self, path: str, body: bytes, on_piece: Callable[[bytes], bool]) -> None:
        """POST ``body`` and hand on each event of the answer until ``on_piece`` returns True; an
        error in place of a stream is handed on, too. Raises as `ask`, without a timeout: the server
        may be long in coming to it."""
        connection = self._connection()
        try:
            connection.sock.settimeout(None)
            answer = _answer(connection, path, body)
            if answer.status != http.client.OK:
                on_piece(answer.read())
                return
            while line := answer.readline():
                if line.startswith(_DATA) and on_piece(line[len(_DATA) :].strip()):
                    return
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.connect()
        return connection


def _answer(
    connection: http.client.HTTPConnection, path: str, body: bytes | None
) -> http.client.HTTPResponse:
    connection.request("GET" if body is None else "POST", path, body, {"Connection": "close"})
    return connection.getresponse()
