"""A line, asked of this very application: every rule of the route holds for it."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message

from frontend.batches.retry import Outcome


async def call(app: ASGIApp, path: str, body: bytes, key: str | None) -> Outcome:
    """POST ``body`` to ``path`` in the background, in the name of ``key``.

    Cancelling this is what a client does who leaves.
    """
    answer = _Answer()
    await app(_scope(path, body, key), _Question(body).receive, answer.send)
    return Outcome(answer.status, answer.request_id, bytes(answer.body))


def _scope(path: str, body: bytes, key: str | None) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("ascii"),
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode("ascii")),
        ],
        "client": None,
        "server": None,
        "background": {"key": key},
    }


class _Question:
    """A client that sends its request, and waits for as long as it takes."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body

    async def receive(self) -> Message:
        body, self._body = self._body, None
        if body is None:
            await asyncio.get_running_loop().create_future()  # until it is cancelled
        return {"type": "http.request", "body": body, "more_body": False}


class _Answer:
    def __init__(self) -> None:
        self.status = 0
        self.request_id = ""
        self.body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.request_id = dict(message["headers"])[b"x-request-id"].decode("ascii")
        else:
            self.body += message.get("body", b"")
