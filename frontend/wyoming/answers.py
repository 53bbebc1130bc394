"""What the routes answer, as texts and as sound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from frontend.streamed import Streamed
from ipc.messages.errors import ErrorInfo, InternalError, ServeError, from_info

_EVENT_END = b"\n\n"
_DATA = b"data: "
_DONE = b"[DONE]"


async def check(streamed: Streamed) -> None:
    """Raise the `ServeError` that the route has answered, if it has."""
    if not 200 <= streamed.status < 300:
        raise _error(orjson.loads(await streamed.whole() or b"{}"))


async def transcript(streamed: Streamed) -> AsyncIterator[str]:
    """The parts of a transcript. Raises the `ServeError` that ends it early."""
    async for told in _events(streamed):
        if told.get("type") == "transcript.text.delta":
            yield str(told["delta"])
        elif told.get("type") == "transcript.text.done":
            return
    raise _unfinished()


async def said(streamed: Streamed) -> AsyncIterator[str]:
    """The parts of a chat's answer. Raises the `ServeError` that ends it early."""
    finished = False
    async for told in _events(streamed):
        for choice in told.get("choices", ()):
            finished = finished or choice.get("finish_reason") is not None
            if text := choice.get("delta", {}).get("content"):
                yield str(text)
    if not finished:
        raise _unfinished()


async def _events(streamed: Streamed) -> AsyncIterator[Mapping[str, Any]]:
    rest = b""
    async for part in streamed.parts():
        *whole, rest = (rest + part).split(_EVENT_END)
        for text in whole:
            data = text.removeprefix(_DATA)
            if not text.startswith(_DATA) or data == _DONE:  # a comment, or the end
                continue
            told = orjson.loads(data)
            if "error" in told:
                raise _error(told)
            yield told


def _error(told: Mapping[str, Any]) -> ServeError:
    """The error of which an answer tells; clients here are shown its code."""
    error = told.get("error")
    if not isinstance(error, dict):
        return InternalError("the request has failed; the server's log has why")
    info = ErrorInfo(code=str(error["code"]), message=str(error["message"]))
    return from_info(info)


def _unfinished() -> InternalError:
    return InternalError("the answer has ended early; the server's log has why")
