"""The server under load: its models, and one request to it with a clock beside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import httpx2
import orjson

from bench.load.outcome import Outcome
from supervisor.cli.client import trouble

_SHOWN_CHARS = 200


class Unanswered(Exception):
    """The server does not answer in a way that could be measured."""


class Request(NamedTuple):
    """One request, and what its answer is worth: texts, documents, seconds of audio."""

    path: str
    body: bytes
    content_type: str = "application/json"
    amounts: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. ``pieces`` stand in the order of arrival, each with its time in seconds."""

    status: int
    headers: httpx2.Headers
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


class Work(Protocol):
    """A kind of request. ``capability`` is what a model must be able to do for it."""

    capability: str

    def request(self, model: str) -> Request:
        """The next one, unlike those before where caches would answer it."""

    def read(self, request: Request, reply: Reply) -> Outcome:
        """What a reply with status 200 says. Raises `ValueError`, `KeyError`, `IndexError` or
        `TypeError` for what is not of the API's shape."""


class Server:
    """An OpenAI-compatible server at the address of ``client``."""

    def __init__(self, client: httpx2.AsyncClient, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def models(self) -> list[dict[str, Any]]:
        """Those that it lists. Raises `Unanswered`."""
        where = self._client.base_url
        try:
            answer = await self._client.get("/v1/models")
            listed = answer.json()["data"] if answer.status_code == 200 else None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unanswered(f"no server answers at {where}: {trouble(error)}") from None
        except (ValueError, KeyError, TypeError):
            raise Unanswered(f"what answers at {where} has no list of models") from None
        if answer.status_code == 401:
            raise Unanswered(f"{where} wants an API key; put one into EDGE_SERVE_API_KEY")
        if not isinstance(listed, list):
            raise Unanswered(f"{where} answers {answer.status_code} when asked for its models")
        return listed

    async def ask(self, work: Work, model: str) -> Outcome:
        """One request; every way in which it can fail is an outcome as well."""
        request = work.request(model)
        sent_at = perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._post(request)
        except (TimeoutError, httpx2.HTTPError) as error:
            seconds = perf_counter() - sent_at
            said = str(error) or type(error).__name__
            return Outcome(seconds, error=_transport(error), message=said)
        if reply.status != 200:
            return refused(reply, reply.body)
        try:
            return work.read(request, reply)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return Outcome(reply.seconds, error="unreadable", message=repr(error))

    async def _post(self, request: Request) -> Reply:
        pieces: list[bytes] = []
        times: list[float] = []
        headers = {"content-type": request.content_type}
        sent_at = perf_counter()
        stream = self._client.stream("POST", request.path, content=request.body, headers=headers)
        async with stream as answer:
            async for piece in answer.aiter_bytes():
                times.append(perf_counter())
                pieces.append(piece)
            ended_at = perf_counter()
        return Reply(answer.status_code, answer.headers, pieces, times, sent_at, ended_at)


def _transport(error: Exception) -> str:
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return "timeout"
    return "connect" if isinstance(error, httpx2.ConnectError) else "broken off"


def refused(reply: Reply, body: bytes) -> Outcome:
    """A failure that the server tells in ``body``: the status, with the code of OpenAI's errors."""
    code, message = "", body[:_SHOWN_CHARS].decode(errors="replace")
    try:
        error = orjson.loads(body)["error"]
        code, message = error.get("code") or error.get("type") or "", str(error["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # another server's, or a proxy's page: shown as it is
    after = reply.headers.get("retry-after", "")
    return Outcome(
        reply.seconds,
        error=f"{reply.status} {code}".rstrip(),
        message=message,
        retry_after_s=float(after) if after.isdecimal() else None,
    )


def choose(listed: list[dict[str, Any]], capability: str) -> str:
    """The first model that can do it; of a server that does not say what they can, the only one.

    Raises `Unanswered` with what to do.
    """
    for model in listed:
        if capability in model.get("capabilities", ()):
            return str(model["id"])
    silent = [str(model["id"]) for model in listed if "capabilities" not in model]
    if len(silent) == 1:
        return silent[0]
    if silent:
        raise Unanswered(f"name one of its models with --model: {', '.join(silent)}")
    raise Unanswered(f"the server has no model for {capability}")
