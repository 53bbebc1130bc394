"""Failures as answers: the OpenAI error object, and the headers by which SDKs decide to retry."""

from __future__ import annotations

import math
from collections.abc import Iterable

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from frontend.http.request_context import RequestContext
from ipc.messages.errors import (
    CircuitOpen,
    InvalidApiKey,
    InvalidRequest,
    MethodNotAllowed,
    PayloadTooLarge,
    RequestTimeout,
    ServeError,
)

# The official SDK does not retry at all when asked to wait longer than this (older releases).
_MAX_RETRY_AFTER_S = 60
# Tried again at a time that is known: whoever asked sooner would be refused again.
_APPOINTED = (CircuitOpen,)
_MAX_SHOWN = 200
# A header's name and value.
Field = tuple[bytes, bytes]
# The rest of such a body may never end, so the connection is not kept for another request.
_CLOSING = (PayloadTooLarge, RequestTimeout)


def shown(text: str) -> str:
    """What a client sent, in the words of a message: quoted, printable and short."""
    return ascii(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "...")


def error_headers(error: ServeError) -> dict[str, str]:
    """What an answer with ``error`` says beside its body."""
    headers = {}
    if error.retry_after_s is not None:
        wait_s = max(1, math.ceil(error.retry_after_s))
        if error.should_retry is not False and not isinstance(error, _APPOINTED):
            wait_s = min(wait_s, _MAX_RETRY_AFTER_S)
        headers["retry-after"] = str(wait_s)
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    if isinstance(error, InvalidApiKey):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, _CLOSING):
        headers["connection"] = "close"
    return headers


def error_bytes(
    error: ServeError, context: RequestContext, fields: Iterable[Field], *, close: bool
) -> bytes:
    """``error`` as a whole answer with ``fields`` beside its own, where there is no application."""
    body = error_body(error, context)
    told = error_headers(error)
    told["content-type"] = "application/json"
    told["content-length"] = str(len(body))
    told["x-request-id"] = context.request_id
    if close:
        told["connection"] = "close"
    lines = "".join([f"{name}: {value}\r\n" for name, value in told.items()]).encode("ascii")
    first = b"".join([b"%b: %b\r\n" % field for field in fields])
    return b"%b%b%b\r\n%b" % (STATUS_LINE[error.status], first, lines, body)


def error_body(error: ServeError, context: RequestContext) -> bytes:
    """``error`` in the form of the API that was asked."""
    return orjson.dumps(context.error_form(error, context.request_id))


def error_response(error: ServeError, context: RequestContext, **headers: str) -> Response:
    """``error`` as an HTTP answer, with ``headers`` beside its own."""
    headers |= error_headers(error)
    body = error_body(error, context)
    return Response(body, error.status, headers, "application/json")


def refusal(error: ServeError | HTTPException, scope: Scope, context: RequestContext) -> Response:
    """The answer to what a route or the router raised; ``context`` learns what it was.

    That to a `Cancelled` goes nowhere but to the log.
    """
    if isinstance(error, ServeError):
        context.error = error.code
        return error_response(error, context)
    allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
    if error.status_code == 405 and scope["method"] == "OPTIONS":
        return Response(status_code=204, headers={"allow": allowed})
    ours = _in_our_form(error.status_code, scope, allowed)
    context.error = ours.code
    return error_response(ours, context, **({"allow": allowed} if allowed else {}))


def _in_our_form(status: int, scope: Scope, allowed: str) -> ServeError:
    if status == 405:
        path = shown(scope["path"])[1:-1]
        return MethodNotAllowed(f"{path} takes {allowed}, not {scope['method']}")
    return InvalidRequest("the request cannot be read")
