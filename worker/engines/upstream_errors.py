"""What an upstream's refusals mean for the clients of this server. No sockets in here."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

import msgspec

from ipc.errors import (
    BY_CODE,
    ContextTooLong,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    PayloadTooLarge,
    QueueFull,
    ServeError,
    Unavailable,
    WorkerCrashed,
)

MAX_MESSAGE_CHARS = 500
MAX_RETRY_AFTER_S = 3600.0

T = TypeVar("T")


def refusal(status: int, body: bytes, retry_after: str | None = None) -> ServeError:
    """What an answer that is not 2xx means for the client whose request it ends.

    Only what that client can change becomes its own error. The message is the upstream's, made
    one line; in place of one about our key or address stands what the operator has to change.
    """
    try:
        content = msgspec.json.decode(body)
    except msgspec.DecodeError:
        content = {}
    said = content.get("error", content) if isinstance(content, dict) else {}
    return _refusal(status, said, _seconds(retry_after))


def refusal_in_stream(said: Any) -> ServeError:
    """What an error event means, which has no status of its own."""
    code = said.get("code") if isinstance(said, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return _refusal(code, said, None)
    known = BY_CODE.get(code) if isinstance(code, str) else None
    return _refusal(known.status if known else WorkerCrashed.status, said, None)


def _refusal(status: int, said: Any, retry_after_s: float | None) -> ServeError:
    message = _message(said) or f"the upstream answered with status {status}"
    if status in (401, 403):
        return InternalError(
            "the upstream refused this server's key; check the variable that options.api_key_env "
            "names for this model"
        )
    if status < 400 or status in (404, 405):
        return InternalError(
            f"the upstream has no such model or path (status {status}); check options.base_url "
            "and options.model of this model"
        )
    kind = _class(status, said, message)
    if retry_after_s is None and issubclass(kind, Unavailable | QueueFull):
        retry_after_s = 1.0
    param = said.get("param") if isinstance(said, dict) else None
    return kind(
        message, param=param if isinstance(param, str) else None, retry_after_s=retry_after_s
    )


def _class(status: int, said: Any, message: str) -> type[ServeError]:
    code = said.get("code") if isinstance(said, dict) else None
    known = BY_CODE.get(code) if isinstance(code, str) else None
    if known is not None and known.status == status:
        return known
    exact: dict[int, type[ServeError]] = {
        408: Unavailable,
        413: PayloadTooLarge,
        429: QueueFull,
        504: DeadlineExceeded,
    }
    if status in exact:
        return exact[status]
    if status >= 500:
        return Unavailable
    kind = said.get("type") if isinstance(said, dict) else None
    # llama-server names the type, vLLM says it in words.
    if kind == "exceed_context_size_error" or "maximum context length" in message:
        return ContextTooLong
    return InvalidRequest


def _message(said: Any) -> str:
    """The upstream's words as one printable line of bounded length."""
    words = said
    if isinstance(said, dict):
        words = said.get("message") or said.get("detail") or ""
    line = " ".join(str(words).split())[:MAX_MESSAGE_CHARS]
    return "".join(char if char.isprintable() else "\ufffd" for char in line)


def _seconds(retry_after: str | None) -> float | None:
    """The seconds in a Retry-After header; None where it is a date or nothing."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds <= MAX_RETRY_AFTER_S else None


def decode(data: str | bytes, kind: type[T]) -> T:
    """``data`` as a ``kind``. Not strict: some servers print numbers as text.

    Raises `InternalError`.
    """
    try:
        return msgspec.json.decode(data, type=kind, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError):
        not_understood()


def not_understood() -> NoReturn:
    raise InternalError("the upstream's answer is not what the OpenAI API describes") from None
