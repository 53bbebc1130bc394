"""Failures as answers: the OpenAI error object, and the headers by which SDKs decide to retry."""

from __future__ import annotations

import math

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from frontend.exchange import Exchange
from ipc.errors import (
    InvalidApiKey,
    InvalidRequest,
    MethodNotAllowed,
    PayloadTooLarge,
    RequestTimeout,
    RouteNotFound,
    ServeError,
)

# The official SDK does not retry at all when asked to wait longer than this (older releases).
_MAX_RETRY_AFTER_S = 60
# The rest of such a body may never end, so the connection is not kept for another request.
_CLOSING = (PayloadTooLarge, RequestTimeout)


def error_response(error: ServeError) -> Response:
    """``error`` as an HTTP answer."""
    response = Response(orjson.dumps(error.body()), error.status, media_type="application/json")
    headers = response.headers
    if error.retry_after_s is not None:
        wait_s = min(max(1, math.ceil(error.retry_after_s)), _MAX_RETRY_AFTER_S)
        headers["retry-after"] = str(wait_s)
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    if isinstance(error, InvalidApiKey):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, _CLOSING):
        headers["connection"] = "close"
    return response


async def on_serve_error(request: Request, error: Exception) -> Response:
    """The answer to a failure of ours. That to a `Cancelled` one goes nowhere but to the log."""
    assert isinstance(error, ServeError)
    Exchange.of(request.scope).error = error.code
    return error_response(error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals, in the same form as ours."""
    assert isinstance(error, HTTPException)
    allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
    if error.status_code == 405 and request.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": allowed})
    refusal = _refusal(error.status_code, allowed)
    Exchange.of(request.scope).error = refusal.code
    response = error_response(refusal)
    if allowed:
        response.headers["allow"] = allowed
    return response


def _refusal(status: int, allowed: str) -> ServeError:
    if status == 404:
        return RouteNotFound("no such route; the API is under /v1, its models at GET /v1/models")
    if status == 405:
        return MethodNotAllowed(f"this route takes {allowed}")
    return InvalidRequest("the request cannot be read")
