"""Failures in the form of Anthropic's API."""

from __future__ import annotations

from typing import Any, Literal

from frontend.api.answer import Answer
from ipc.messages.errors import ServeError

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def message_error(error: ServeError, request_id: str) -> Any:
    """``error`` as SDKs read it before a stream and within one."""
    told = {"type": _type(error.status), "message": error.message}
    return {"type": "error", "error": told, "request_id": request_id}


def _type(status: int) -> str:
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


class MessageErrorDetail(Answer):
    """Described for ``/openapi.json``, as `MessageError`."""

    type: str
    message: str


class MessageError(Answer):
    type: Literal["error"]
    error: MessageErrorDetail
    request_id: str
