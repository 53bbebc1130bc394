"""Request bodies, read within bounds: so many bytes, so fast, and the type that was named.

A declared length over the limit is refused before a byte is read; an undeclared or a false one as
soon as the limit is passed. Nothing is written to disk but what is to stay there, and long
recordings on their way, see `frontend.uploads`: uploads may be private, and small boxes run on
memory cards.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message

from frontend.dispatch.budget import Claim
from frontend.http.encoding import check_charset, check_plain, check_utf8, is_wide
from frontend.http.errors import shown
from frontend.http.form import Form, FormOnDisk
from frontend.http.request_context import RequestContext
from frontend.http.values import ValueCounter, loose_count
from ipc.messages.errors import (
    Cancelled,
    InvalidRequest,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)

# As long as nginx waits between two reads of a body.
READ_TIMEOUT_S = 60.0
# On the whole, from then on: the least rate of Apache's mod_reqtimeout, a quarter of a recording in
# Opus that is sent while it is made. With the limit on bytes it bounds how long a body may take.
LEAST_BYTES_PER_S = 500
FORM_TYPE = "multipart/form-data"
MAX_FORM_FIELDS = 20
MAX_FORM_FIELD_BYTES = 1 << 20
# Of a body of JSON. 2,048 messages with tool calls have a third of that; so many lists, the dearest
# of values, take 20 ms and 8 MB to make.
MAX_VALUES = 1 << 17
# What each of them takes, beside its text.
VALUE_BYTES = 64
# Counted in one turn of the loop.
PIECE_BYTES = 256 << 10
# How often a body is held at the same time: as it came, as text or file, and as ZeroMQ's message.
COPIES = 3
# Text beyond ASCII: one wide character makes Python take four bytes for each, and who encodes it
# leaves a copy beside.
WIDE_COPIES = 5
# What a form may hold beside its file: names, boundaries, short fields.
FORM_OVERHEAD_BYTES = 64 << 10
# In the scope of a request whose path has named its model: that takes the place of what the body
# names.
MODEL_OF_PATH = "edge_serve.model_of_path"


AForm = TypeVar("AForm", bound=Form)


class NotJson(InvalidRequest):
    """No API tells it by a code of its own, but for those that speak JSON-RPC."""


class NotAnObject(InvalidRequest):
    """It is JSON, but a list or a mere value."""


class Json(NamedTuple):
    """A JSON object and the bytes it came in."""

    data: dict[str, Any]
    size_bytes: int


async def read_json(request: Request, limit_bytes: int) -> Json:
    """The request's JSON object.

    Raises `UnsupportedMediaType`, `PayloadTooLarge`, `RequestTimeout`, `Cancelled`, `NotAnObject`,
    or `NotJson`: NaN, lone surrogates and nesting past orjson's 1024 levels included. A missing
    content type is refused too: a web page on another site can send a request without one, and may
    not send ``application/json`` without asking first.

    Returns in a turn of the loop in which a large body may be checked, too.
    """
    require_type(request, "application/json")
    claim = RequestContext.of(request.scope).claim
    raw, values = bytearray(), 0
    async for chunk in chunks(request, limit_bytes):
        raw += chunk
        values += loose_count(chunk)
    if values > MAX_VALUES:
        await check_values([raw], claim, "the body")
    if claim.is_large:
        await claim.turn()
    claim.add(_more_bytes(raw, min(values, MAX_VALUES)))
    if not claim.is_large:
        data = _parse(raw)
    else:
        await claim.turn()
        data = _parse(raw)
        await claim.turn()
    if not isinstance(data, dict):
        raise NotAnObject("the body must be a JSON object")
    if (named := request.scope.get(MODEL_OF_PATH)) is not None:
        data["model"] = named
    return Json(data, len(raw))


async def check_values(texts: Iterable[bytes | bytearray], claim: Claim, what: str) -> None:
    """Raises `PayloadTooLarge` where ``texts`` of JSON, which are ``what``, have more than
    `MAX_VALUES` values together."""
    counter = ValueCounter()
    pieces = (
        text[at : at + PIECE_BYTES] for text in texts for at in range(0, len(text), PIECE_BYTES)
    )
    for piece in pieces:
        await claim.turn()
        counter.feed(bytes(piece))
        if counter.count > MAX_VALUES:
            raise PayloadTooLarge(
                f"{what} has more than {MAX_VALUES} values; if they are token ids, send texts"
            )


def _more_bytes(raw: bytearray, values: int) -> int:
    """What a body that has been read will take beside itself until its job has ended."""
    plain = raw.isascii() and b"\\u" not in raw
    return len(raw) * (COPIES - 1 if plain else WIDE_COPIES) + values * VALUE_BYTES


def _parse(raw: bytearray) -> Any:
    """The JSON in ``raw``. Only the place of an error is told: what stands there may be private."""
    if raw.startswith(codecs.BOM_UTF8):
        del raw[: len(codecs.BOM_UTF8)]
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if is_wide(raw):
            raise NotJson("the body is UTF-16; send UTF-8") from None
        try:
            check_utf8(raw, "the body")
        except InvalidRequest as wrong:
            raise NotJson(wrong.message) from None
        if not raw:
            raise NotJson("the body is empty; send a JSON object") from None
        why = "half a surrogate pair" if "surrogate" in error.msg else error.msg
        raise NotJson(
            f"the body is not valid JSON: {why} (line {error.lineno}, column {error.colno})"
        ) from None


@asynccontextmanager
async def read_form(
    request: Request, limit_bytes: int, place: Path | None = None
) -> AsyncIterator[FormData]:
    """The request's multipart form with at most one file, of at most ``limit_bytes``, which is
    written to ``place`` where there is one, and else stays in memory."""
    kind = Form if place is None else FormOnDisk
    parser = parser_of(kind, request, limit_bytes, claimed=place is None)
    parser.spool_max_size = limit_bytes + FORM_OVERHEAD_BYTES + 1
    if isinstance(parser, FormOnDisk) and place is not None:
        parser.place = place
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise unreadable(error) from None
    form = of_path(form, request)
    claim = RequestContext.of(request.scope).claim
    try:
        claim.add((COPIES - 1) * claim.size_bytes)
        yield form
    finally:
        await form.close()


def parser_of(kind: type[AForm], request: Request, limit_bytes: int, *, claimed: bool) -> AForm:
    """A parser of the request's form, which has one file of at most ``limit_bytes`` at most. Raises
    `UnsupportedMediaType`."""
    require_type(request, FORM_TYPE)
    return kind(
        request.headers,
        chunks(request, limit_bytes, FORM_OVERHEAD_BYTES, claimed=claimed),
        max_files=1,
        max_fields=MAX_FORM_FIELDS,
        max_part_size=MAX_FORM_FIELD_BYTES,
    )


def unreadable(error: MultiPartException) -> InvalidRequest:
    """What a client is told of it."""
    return InvalidRequest(f"the form cannot be read: {error.message}")


def of_path(form: FormData, request: Request) -> FormData:
    """``form`` with the model that the request's path names, if it does."""
    if (named := request.scope.get(MODEL_OF_PATH)) is None:
        return form
    others = [(key, value) for key, value in form.multi_items() if key != "model"]
    return FormData([*others, ("model", named)])


def require_type(request: Request, kind: str) -> None:
    """Raises `UnsupportedMediaType` for a body of another type, or one that is encoded."""
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != kind:
        but = f", not {shown(given)}" if given else ""
        raise UnsupportedMediaType(f"send the body with `Content-Type: {kind}`{but}")
    for coding in request.headers.getlist("content-encoding"):
        check_plain("Content-Encoding", coding)
    check_charset(given)


async def chunks(
    request: Request, limit_bytes: int, slack_bytes: int = 0, *, claimed: bool = True
) -> AsyncGenerator[bytes, None]:
    """The body as it comes, up to limit and slack, as long as it keeps coming.

    Each part is claimed as it comes, where it is ``claimed``. Raises `PayloadTooLarge`,
    `RequestTimeout`, `OutOfMemory`, or `Cancelled` where the client leaves.
    """
    claim = RequestContext.of(request.scope).claim
    too_large = PayloadTooLarge(f"the body is over this server's limit of {limit_bytes} bytes")
    declared = request.headers.get("content-length", "")
    most = limit_bytes + slack_bytes
    if declared.isdecimal() and int(declared) > most:
        raise too_large
    if claimed and len(declared) > 5 and declared.isdecimal():  # less is never too much
        claim.expect(COPIES * int(declared))
    clock = asyncio.get_running_loop().time
    began_at, got = clock(), 0
    message: Message = {"more_body": True}
    while message.get("more_body"):
        try:
            async with asyncio.timeout_at(next_read_at(began_at, clock(), got)):
                message = await request.receive()
        except TimeoutError:
            raise RequestTimeout(
                f"the body comes too slowly: {got} bytes in {clock() - began_at:.0f} s"
            ) from None
        if message["type"] == "http.disconnect":
            raise Cancelled("the client left while sending")
        got += len(message.get("body", b""))
        if got > most:
            raise too_large
        if claimed:
            claim.add(len(message.get("body", b"")))
        yield message.get("body", b"")


def next_read_at(began_at: float, now: float, got_bytes: int) -> float:
    """By when more of a body must have come, of which ``got_bytes`` have since ``began_at``."""
    steady_until = began_at + READ_TIMEOUT_S + got_bytes / LEAST_BYTES_PER_S
    return min(now + READ_TIMEOUT_S, steady_until)
