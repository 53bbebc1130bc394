"""What is told of a request's wait: in headers, in a stream's comments, and to operators."""

from __future__ import annotations

from typing import Any

from starlette.types import Scope

from frontend.dispatch.estimates.standing import Listening, Prefill, Standing
from frontend.http.request_context import RequestContext

POSITION, ETA_START_MS, ETA_END_MS, QUEUE_MS, MODEL_LOAD_MS = (
    *(b"x-queue-position", b"x-eta-start-ms", b"x-eta-end-ms"),
    *(b"x-queue-ms", b"x-model-load-ms"),
)
HEADERS = [name.decode() for name in (POSITION, ETA_START_MS, ETA_END_MS, QUEUE_MS, MODEL_LOAD_MS)]
# By this a client says that it reads how its stream waits.
_WISH = b"x-progress"
# How often a stream that waits is told of it.
PERIOD_S = 1.0


def wants_progress(scope: Scope) -> bool:
    """Whether a stream's headers should come at once, and comments on its wait after them."""
    return any(name == _WISH and value not in (b"", b"0") for name, value in scope["headers"])


def waiting_headers(context: RequestContext) -> list[tuple[bytes, bytes]]:
    """What an answer's headers tell of the wait: what was known as the request came, and what has
    come of it, if that is known by now. None for who has no place in a queue."""
    stream = context.stream
    if stream is None or context.background:
        return []
    found: list[tuple[bytes, float]] = []
    if (told := stream.told) is not None:
        found.append((POSITION, told.position))
        found += [
            (name, 1000 * seconds)
            for name, seconds in ((ETA_START_MS, told.start_s), (ETA_END_MS, told.end_s))
            if seconds is not None
        ]
    if stream.dispatched_at is not None:
        found.append((QUEUE_MS, 1000 * (stream.dispatched_at - stream.submitted_at)))
        found.append((MODEL_LOAD_MS, 1000 * stream.load_s))
    return [(name, b"%d" % round(value)) for name, value in found]


def comment(standing: Standing | None) -> str:
    """What a stream that waits is told of it; empty for one that does not."""
    if standing is None:
        return ""
    if standing.state == "running":
        return _progress(standing)
    facts = {"position": str(standing.position)}
    if standing.state == "loading":
        facts["stage"] = (standing.stage or "waiting").replace(" ", "-")
    if standing.start_s is not None:
        facts["eta"] = f"{standing.start_s:.1f}s"
    word = "loading" if standing.state == "loading" else "queue"
    return " ".join([word, *(f"{name}={fact}" for name, fact in facts.items())])


def _progress(standing: Standing) -> str:
    if standing.prefill is not None:
        return _prefill(standing.prefill)
    return "" if standing.listening is None else _listening(standing.listening)


def _prefill(told: Prefill) -> str:
    return f"prefill {told.read_tokens}/{told.prompt_tokens} eta={told.left_s:.1f}s"


def _listening(told: Listening) -> str:
    whole = "" if told.audio_s is None else f"/{told.audio_s:.1f}"
    left = "" if told.left_s is None else f" eta={told.left_s:.1f}s"
    return f"listening {told.heard_s:.1f}{whole}{left}"


def waiting_of(context: RequestContext) -> dict[str, Any] | None:
    """Where a request stands, for who asks about it: ``state`` is ``queued``, ``loading`` or
    ``running``, ``position`` 0 for one that runs; times from now. ``prefill`` is how far its prompt
    is read, ``listening`` how far its recording is heard, where that is known. None for one that
    has no job, or whose job has ended."""
    standing = context.stream.standing() if context.stream is not None else None
    if standing is None:
        return None
    return {
        "state": standing.state,
        "position": standing.position,
        "eta_start_ms": _ms(standing.start_s),
        "eta_end_ms": _ms(standing.end_s),
        "prefill": None if (prefill := standing.prefill) is None else _prefill_facts(prefill),
        "listening": None if (told := standing.listening) is None else _listening_facts(told),
    }


def _prefill_facts(told: Prefill) -> dict[str, int | None]:
    return {
        "read_tokens": told.read_tokens,
        "prompt_tokens": told.prompt_tokens,
        "eta_ms": _ms(told.left_s),
    }


def _listening_facts(told: Listening) -> dict[str, float | None]:
    return {"heard_s": told.heard_s, "audio_s": told.audio_s, "eta_ms": _ms(told.left_s)}


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)
