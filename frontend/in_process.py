"""This application, asked from within: every rule of the route that answers holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Scope

from ipc.messages.errors import ServeError

Field = tuple[bytes, bytes]
JSON: Field = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. ``headers`` are those beside the length of its ``body``."""

    method: str
    path: str
    query: str = ""
    headers: tuple[Field, ...] = ()
    body: bytes = b""


@dataclass(slots=True)
class Answered:
    """Its whole answer. The ``status`` is 0 where there is none."""

    status: int
    headers: dict[str, str]
    body: bytearray

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


async def ask(
    app: ASGIApp,
    asked: Asked,
    about: Mapping[str, Any],
    left: Callable[[], Awaitable[object]],
    take: Callable[[int], None] = lambda _: None,
) -> Answered:
    """What ``app`` answers. ``about`` is what its scope has beside the request: who asks, by which
    way. ``left`` returns when whoever asks does not wait any more; it is awaited once the request
    has been read. ``take`` is told of as many bytes as come; a `ServeError` of its is raised here.

    Cancelling this is what a client does who leaves.
    """
    question, answer = Question(asked.body, left), _Answer(take)
    await app(scope_of(asked, about), question.receive, answer.send)
    if answer.problem is not None:
        raise answer.problem
    return answer.answered


def scope_of(asked: Asked, about: Mapping[str, Any]) -> Scope:
    """The request as ASGI has it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "client": None,
        "server": None,
        **about,
        "method": asked.method,
        "path": asked.path,
        "raw_path": quote(asked.path).encode("ascii"),
        "query_string": asked.query.encode("ascii"),
        "headers": [
            *asked.headers,
            (b"content-length", str(len(asked.body)).encode("ascii")),
        ],
    }


class Question:
    """A client that sends its request, and waits for as long as it does."""

    def __init__(self, body: bytes, left: Callable[[], Awaitable[object]]) -> None:
        self._body: bytes | None = body
        self._left = left

    async def receive(self) -> Message:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left()
        return {"type": "http.disconnect"}


class _Answer:
    """Takes all that comes: what is wrong with whoever reads is not for the application."""

    def __init__(self, take: Callable[[int], None]) -> None:
        self.answered = Answered(0, {}, bytearray())
        self.problem: ServeError | None = None
        self._take = take

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answered.status = message["status"]
            self.answered.headers = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in message["headers"]
            }
        elif self.problem is None:
            self._add(message.get("body", b""))

    def _add(self, part: bytes) -> None:
        try:
            self._take(len(part))
        except ServeError as error:
            self.problem = error
            self.answered.body.clear()
        else:
            self.answered.body += part
