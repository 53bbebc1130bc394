"""llama.cpp's own tokenizer, which its server has behind HTTP only."""

from __future__ import annotations

import http.client
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

# For each part of an answer: a text of a megabyte takes a second or two.
_TIMEOUT_S = 60.0
# No token has it; what the server is given in place of a text it gives back.
_BETWEEN = -1


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


class _Tokens(msgspec.Struct):
    tokens: list[int]


class ServerTokenizer:
    """Encodes texts, in none of which it looks for control tokens; a call takes all of them."""

    def __init__(self, place: PrivateSocket) -> None:
        self._place = place

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text. Raises `OSError` or `RuntimeError`."""
        if not texts:
            return []
        content: list[str | int] = []
        for text in texts:
            content += [text, _BETWEEN]
        rows: list[list[int]] = [[]]
        for token in self._tokens(content):
            if token == _BETWEEN:
                rows.append([])
            else:
                rows[-1].append(token)
        return rows[:-1]

    def _tokens(self, content: list[str | int]) -> list[int]:
        asked = {"content": content, "add_special": False, "parse_special": False}
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self._place.connect()
        try:
            connection.request(
                "POST", "/tokenize", msgspec.json.encode(asked), {"Connection": "close"}
            )
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise RuntimeError(f"llama.cpp's tokenizer answers with status {answer.status}")
        return msgspec.json.decode(body, type=_Tokens).tokens
