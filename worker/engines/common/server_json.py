"""JSON as servers really send it: read with patience, and never half. No sockets in here."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn, TypeVar

import msgspec

from ipc.messages.errors import InternalError
from ipc.messages.events import Usage
from worker.engines.common.server_errors import refusal_in_stream

T = TypeVar("T")


def decode(data: str | bytes, kind: type[T]) -> T:
    """``data`` as a ``kind``. Not strict: some servers print numbers as text.

    Half a surrogate pair is left in its text, for whoever joins texts: see `SurrogateJoiner`.
    Raises `InternalError`.
    """
    try:
        return msgspec.json.decode(data, type=kind, strict=False)
    except UnicodeDecodeError:
        raise InternalError("the upstream's answer is not UTF-8") from None
    except msgspec.ValidationError:
        not_understood()
    except msgspec.DecodeError:  # also for an escaped surrogate that stands alone
        return _decode_surrogates(data, kind)


def _decode_surrogates(data: str | bytes, kind: type[T]) -> T:
    try:
        content = json.loads(
            data if isinstance(data, str) else data.decode(), parse_constant=_no_constant
        )
        return msgspec.convert(content, kind, strict=False)
    except UnicodeDecodeError:
        raise InternalError("the upstream's answer is not UTF-8") from None
    except (ValueError, RecursionError, msgspec.ValidationError):
        not_understood()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def decode_answer(data: bytes, kind: type[T]) -> T:
    """A whole answer. Raises what an error in its place means, and `InternalError`."""
    try:
        return decode(data, kind)
    except InternalError:
        if (said := _error_in(data)) is not None:
            raise refusal_in_stream(said) from None
        raise


def _error_in(data: bytes) -> Any:
    """What a body says went wrong, though its status was a success; None where it says nothing."""
    try:
        content = decode(data, dict[str, Any])
    except InternalError:
        return None
    return content.get("error") or (content if content.get("object") == "error" else None)


def not_understood() -> NoReturn:
    raise InternalError("the upstream's answer is not what the OpenAI API describes") from None


class SurrogateJoiner:
    """Joins characters beyond U+FFFF whose two halves, as JSON escapes them, came in two texts."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """``text`` without half a character at its end, which is held back for the next."""
        if not self._half and text.isascii():
            return text
        text = self._half + text
        self._half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return well_formed(text[:-1] if self._half else text)

    def end(self) -> str:
        """U+FFFD for a half whose other half never came."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""


def well_formed(text: str) -> str:
    """``text`` with pairs of surrogates joined, and U+FFFD for each that stands alone."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def usage_of(said: Any, completion_tokens: int = 0, reasoning_tokens: int = 0) -> Usage:
    """The counts in an answer; a bad count undoes no answer, so it is taken for one left out.

    ``completion_tokens`` and ``reasoning_tokens`` stand in where the former were not counted.
    """
    counts = said if isinstance(said, dict) else {}
    completion = number(counts.get("completion_tokens"))
    cached = number(_field(counts.get("prompt_tokens_details"), "cached_tokens"))
    thought = number(_field(counts.get("completion_tokens_details"), "reasoning_tokens"))
    if thought is None:  # where SGLang has them
        thought = number(counts.get("reasoning_tokens"))
    if completion is None:
        completion, thought = completion_tokens, reasoning_tokens
    return Usage(
        prompt_tokens=int(number(counts.get("prompt_tokens")) or 0),
        completion_tokens=int(completion),
        cached_tokens=None if cached is None else int(cached),
        reasoning_tokens=int(thought or 0),
    )


def _field(said: Any, name: str) -> Any:
    return said.get(name) if isinstance(said, dict) else None


def number(value: Any) -> float | None:
    """A count or a time in whatever form it came; None for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and 0 <= found < 2**53 else None
