"""A client that sends a form slowly enough to look between any two parts of it."""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import Any

from tests.process.box import SPEECH, Box, wait_until
from tests.process.http.raw_http import Raw

KB = 1 << 10
MB = 1 << 20


def field(name: str, value: str) -> bytes:
    head = f'\r\n--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'
    return head.encode()


FILE = b'\r\n--cut\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
END = b"\r\n--cut--\r\n"


class Uploader:
    """One request, chunked, so that its length is known to nobody, or ``declared``."""

    def __init__(self, box: Box, declared: int | None = None, path: str = "transcriptions") -> None:
        length = f"Content-Length: {declared}" if declared else "Transfer-Encoding: chunked"
        head = (
            f"POST /v1/audio/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: multipart/form-data; boundary=cut\r\n{length}\r\n\r\n"
        )
        self._box = box
        self._is_chunked = not declared
        self.raw = Raw(box.port)
        self.raw.send(head.encode())

    def __enter__(self) -> Uploader:
        self.raw.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.raw.__exit__(kind, error, traceback)

    def send(self, *parts: bytes) -> Uploader:
        for part in parts:
            framed = b"%x\r\n%b\r\n" % (len(part), part) if self._is_chunked else part
            self.raw.send(framed)
        return self

    def fields(self, model: str = SPEECH, **others: str) -> Uploader:
        return self.send(
            *(field(name, value) for name, value in {"model": model, **others}.items())
        )

    def end(self) -> Uploader:
        self.send(END)
        if self._is_chunked:
            self.raw.send(b"0\r\n\r\n")
        return self

    def is_in_hand(self) -> None:
        """Returns once a worker has its job."""
        wait_until(lambda: self._box.queue(SPEECH)["in_flight"] == 1)

    def answer(self) -> tuple[int, str]:
        """Its status and its body, the frames of its chunks included."""
        head, _, body = self.raw.read_all().partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def error(self) -> tuple[int, dict[str, Any]]:
        status, body = self.answer()
        told: dict[str, Any] = json.loads(body)
        return status, told["error"]


def audio(size: int) -> bytes:
    """What no decoder sees: echo says the words of the prompt."""
    return time.time_ns().to_bytes(8, "big") * (size // 8)
