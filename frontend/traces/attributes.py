"""What spans tell of a request, by OpenTelemetry's conventions for HTTP and for generative models.

Those for models are in development there; the names are of their state in November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frontend.history.request_record import RequestRecord
from ipc.messages.jobs import Task

PROVIDER = "edge-serve"
Attributes = Mapping[str, Any]
# Theirs where they have one.
_OPERATIONS: Mapping[Task, str] = {
    "chat": "chat",
    "embed": "embeddings",
    "rerank": "rerank",
    "speech": "transcription",
    "speak": "speech",
}
# Where a chat model goes on with a text.
_TEXT_PATHS = ("/v1/completions", "/completion", "/completions", "/api/generate", "/infill")


def operation(record: RequestRecord) -> str:
    """What the model is asked to do."""
    if record.task is None:
        return "unknown"
    if record.task == "chat" and record.path in _TEXT_PATHS:
        return "text_completion"
    return _OPERATIONS[record.task]


def of_request(record: RequestRecord) -> Attributes:
    """Those of the whole request."""
    return _known(
        {
            "http.request.method": record.method,
            "url.path": record.path,
            "http.response.status_code": record.status,
            "error.type": record.error,
            "edge_serve.request_id": record.id,
            "edge_serve.key": record.key,
            "edge_serve.background": record.background or None,
        }
    )


def of_work(record: RequestRecord) -> Attributes:
    """Those of what the model did."""
    usage, shape = record.usage, record.shape
    known: dict[str, Any] = {
        "gen_ai.operation.name": operation(record),
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.model,
        "gen_ai.request.stream": record.streams,
        "gen_ai.response.finish_reasons": [record.finish] if record.finish else None,
        "error.type": record.error,
        "edge_serve.attempt": record.attempt,
        "edge_serve.worker_pid": record.worker_pid,
        "edge_serve.steps": record.steps,
    }
    if shape is not None:
        known |= {
            "gen_ai.request.max_tokens": shape.max_tokens,
            "gen_ai.request.temperature": shape.temperature,
            "gen_ai.request.top_p": shape.top_p,
            "gen_ai.request.top_k": shape.top_k,
            "gen_ai.request.seed": shape.seed,
            "gen_ai.request.choice.count": shape.n if shape.n > 1 else None,
        }
    if usage is not None:
        known |= {
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens or None,
        }
    if record.streams and record.first_s is not None:
        known["gen_ai.response.time_to_first_chunk"] = record.first_s
    return _known(known)


def _known(attributes: dict[str, Any]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}
