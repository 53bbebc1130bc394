"""Request bodies, read within bounds: so many bytes, so much time, and the type that was named.

A declared length over the limit is refused before a byte is read; an undeclared or a false one as
soon as the limit is passed. Nothing is written to disk: uploads may be private, and small boxes
run on memory cards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import Message

from ipc.errors import (
    Cancelled,
    InvalidRequest,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)

# For the whole body: as long as nginx waits between two reads of one.
BODY_TIMEOUT_S = 60.0
MAX_FORM_FIELDS = 20
MAX_FORM_FIELD_BYTES = 1 << 20
# What a form may hold beside its file: names, boundaries, short fields.
FORM_OVERHEAD_BYTES = 64 << 10


class Json(NamedTuple):
    """A JSON object and the bytes it came in."""

    data: dict[str, Any]
    size_bytes: int


async def read_json(request: Request, limit_bytes: int) -> Json:
    """The request's JSON object.

    Raises `UnsupportedMediaType`, `PayloadTooLarge`, `RequestTimeout`, `Cancelled`, or
    `InvalidRequest` for what is no JSON: NaN, lone surrogates and nesting past orjson's 1024
    levels included. A missing content type is refused too: a web page on another site can send a
    request without one, and may not send ``application/json`` without asking first.
    """
    _require(request, "application/json")
    raw = b"".join([chunk async for chunk in _chunks(request, limit_bytes)])
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        # Only the position: the decoder's own message may quote what was sent.
        raise InvalidRequest(
            f"the body is not valid JSON (line {error.lineno}, column {error.colno})"
        ) from None
    if not isinstance(data, dict):
        raise InvalidRequest("the body must be a JSON object")
    return Json(data, len(raw))


@asynccontextmanager
async def read_form(request: Request, limit_bytes: int) -> AsyncIterator[FormData]:
    """The request's multipart form with at most one file, of at most ``limit_bytes``."""
    _require(request, "multipart/form-data")
    parser = MultiPartParser(
        request.headers,
        _chunks(request, limit_bytes, FORM_OVERHEAD_BYTES),
        max_files=1,
        max_fields=MAX_FORM_FIELDS,
        max_part_size=MAX_FORM_FIELD_BYTES,
    )
    parser.spool_max_size = limit_bytes + FORM_OVERHEAD_BYTES + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(f"the form cannot be read: {error.message}") from None
    try:
        yield form
    finally:
        await form.close()


def _require(request: Request, kind: str) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != kind:
        raise UnsupportedMediaType(f"send the body with `Content-Type: {kind}`")


async def _chunks(
    request: Request, limit_bytes: int, slack_bytes: int = 0
) -> AsyncGenerator[bytes, None]:
    """The body as it comes, up to limit and slack, for as long as it may take.

    Raises `PayloadTooLarge`, `RequestTimeout`, or `Cancelled` where the client leaves.
    """
    too_large = PayloadTooLarge(f"the body is over this server's limit of {limit_bytes} bytes")
    declared = request.headers.get("content-length", "")
    left = limit_bytes + slack_bytes
    if declared.isdecimal() and int(declared) > left:
        raise too_large
    end_at = asyncio.get_running_loop().time() + BODY_TIMEOUT_S
    message: Message = {"more_body": True}
    while message.get("more_body"):
        try:
            async with asyncio.timeout_at(end_at):
                message = await request.receive()
        except TimeoutError:
            raise RequestTimeout(f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s") from None
        if message["type"] == "http.disconnect":
            raise Cancelled("the client left while sending")
        left -= len(message.get("body", b""))
        if left < 0:
            raise too_large
        yield message.get("body", b"")
