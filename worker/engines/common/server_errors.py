"""What an upstream's refusals mean for the clients of this server. No sockets in here.

Official SDKs repeat 408, 409, 429 and everything from 500 on, unless `x-should-retry` says no. So
a status that they repeat is given only where the same request may go well later: 503, 429. What an
upstream fails at for good, or nobody knows why, is 500 with `x-should-retry: false`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.messages.errors import (
    BY_CODE,
    ContextTooLong,
    InternalError,
    InvalidRequest,
    PayloadTooLarge,
    QueueFull,
    ServeError,
    Unavailable,
    UnsupportedParameter,
)
from worker.chat.prompt_limits import says_too_long, upstream_too_long

MAX_MESSAGE_CHARS = 500
MAX_RETRY_AFTER_S = 3600.0

# Statuses that a repeat may mend, whoever answers so: the server, or a proxy before it. 409 is a
# lock that was not had in time (OpenAI); 52x are Cloudflare's for a server that is away, 529 is
# Anthropic's for one that has too much to do.
_PASSING = frozenset({408, 409, 423, 425, 429, 502, 503, 504, 520, 521, 522, 523, 524, 529, 530})
# Codes and types of errors in place of a status: in a stream, whose status was sent long ago.
_STATUSES = {
    "badrequesterror": 400,
    "invalid_request_error": 400,
    "exceed_context_size_error": 400,
    "overloaded_error": 503,
    "overloaded": 503,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "server_overloaded": 503,
    "service_unavailable": 503,
    "serviceunavailableerror": 503,
    "timeout_error": 504,
    "unavailable_error": 503,
}
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached")


def refusal(
    status: int, body: bytes, retry_after: str | None = None, should_retry: str | None = None
) -> ServeError:
    """What an answer that is not 2xx means for the client whose request it ends.

    Only what that client can change becomes its own error. The message is the upstream's, made
    one line; in place of one about our key, address or account stands what the operator has to
    change. ``should_retry`` is the header of that name, which knows better than the status.
    """
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        content = {}
    said = content.get("error") or content if isinstance(content, dict) else {}
    return _refusal(status, said, _seconds(retry_after), _yes_or_no(should_retry))


def refusal_in_stream(said: Any) -> ServeError:
    """What an error in an answer means, whose status was a success: a failure nobody can name,
    unless it names itself."""
    return _refusal(_status(said), said, None, None)


def _status(said: Any) -> int:
    for key in ("code", "status", "status_code", "type"):
        text = str(_field(said, key)).lower()
        if text.isdecimal() and 400 <= int(text) < 600:
            return int(text)
        if text in _STATUSES:
            return _STATUSES[text]
        if text in BY_CODE:
            return BY_CODE[text].status
    return InternalError.status


def _field(said: Any, name: str) -> Any:
    return said.get(name) if isinstance(said, dict) else None


def _refusal(
    status: int, said: Any, retry_after_s: float | None, should_retry: bool | None
) -> ServeError:
    message = _message(said) or f"the upstream answered with status {status}"
    if for_operator := _for_operator(status, said):
        return InternalError(for_operator)
    kind = _class(status, said, message, should_retry)
    if retry_after_s is None and issubclass(kind, Unavailable | QueueFull):
        retry_after_s = 1.0
    if not issubclass(kind, Unavailable | QueueFull):
        retry_after_s = None
    param = _field(said, "param")
    param = param if isinstance(param, str) else None
    if kind is ContextTooLong:
        return upstream_too_long(said, message, param)
    return kind(message, param=param, retry_after_s=retry_after_s)


def _for_operator(status: int, said: Any) -> str | None:
    """What the operator has to change, where it is neither the client's nor time's to mend."""
    if status in (401, 403):
        return (
            "the upstream refused this server's key; check the variable that options.api_key_env "
            "names for this model"
        )
    if status == 402 or any(_field(said, key) in _NO_CREDIT for key in ("code", "type")):
        return "the upstream's account for this server's key has no credit left"
    if status < 400 or status in (404, 405, 410):
        return (
            f"the upstream has no such model or path (status {status}); check options.base_url "
            "and options.model of this model"
        )
    return None


def _class(status: int, said: Any, message: str, should_retry: bool | None) -> type[ServeError]:
    code = _field(said, "code")
    known = BY_CODE.get(code) if isinstance(code, str) else None
    if known is not None and known.status == status:
        return known
    if status == 413:
        return PayloadTooLarge
    if status in _PASSING if should_retry is None else should_retry:
        return QueueFull if status == 429 else Unavailable
    kind = _field(said, "type")
    if kind == "not_supported_error":  # llama-server, of what its model cannot do
        return UnsupportedParameter
    if status >= 500 or status in _PASSING:
        return InternalError
    # It names this type too; others say it in words.
    if kind == "exceed_context_size_error" or says_too_long(message):
        return ContextTooLong
    return InvalidRequest


def _message(said: Any) -> str:
    """The upstream's words as one printable line of bounded length."""
    words = said
    if isinstance(said, dict):
        words = said.get("message") or said.get("detail") or ""
    return one_line(words, MAX_MESSAGE_CHARS)


def one_line(words: Any, max_chars: int) -> str:
    line = " ".join(str(words).split())[:max_chars]
    return "".join(char if char.isprintable() else "\ufffd" for char in line)


def _seconds(retry_after: str | None) -> float | None:
    """The seconds in a Retry-After header; None where it is a date or nothing."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds <= MAX_RETRY_AFTER_S else None


def _yes_or_no(header: str | None) -> bool | None:
    return {"true": True, "false": False}.get((header or "").lower())
