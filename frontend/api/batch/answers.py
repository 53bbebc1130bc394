"""Files and batches as OpenAI's API tells them; described for ``/openapi.json``, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, TypeVar

from frontend.api.answer import Answer
from frontend.batches.records import Batch, File, Status
from ipc.messages.errors import NotFound

# Which times a batch tells, by the status that it came to then.
_TIMES: tuple[Status, ...] = (
    "in_progress",
    "finalizing",
    "completed",
    "failed",
    "expired",
    "cancelling",
    "cancelled",
)


class Kept(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Kept)


class FileObject(Answer):
    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: None
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"]
    status_details: None


class FileList(Answer):
    object: Literal["list"]
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(Answer):
    id: str
    object: Literal["file"]
    deleted: Literal[True]


class BatchProblem(Answer):
    code: str
    message: str
    line: int | None
    param: str | None


class BatchProblems(Answer):
    object: Literal["list"]
    data: list[BatchProblem]


class RequestCounts(Answer):
    total: int
    completed: int
    failed: int


class BatchObject(Answer):
    id: str
    object: Literal["batch"]
    endpoint: str
    errors: BatchProblems | None
    input_file_id: str
    completion_window: Literal["24h"]
    status: Status
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, str] | None


class BatchList(Answer):
    object: Literal["list"]
    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


def of_file(file: File) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.created_at,
        "expires_at": None,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def of_batch(batch: Batch) -> dict[str, Any]:
    """Its files are there once it has ended, those that hold anything."""
    ended = batch.has_ended
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": _problems(batch),
        "input_file_id": batch.input_id,
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": batch.output_id if ended and batch.completed else None,
        "error_file_id": batch.errors_id if ended and batch.failed else None,
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        **{f"{status}_at": batch.at.get(status) for status in _TIMES},
        "request_counts": {
            "total": batch.total,
            "completed": batch.completed,
            "failed": batch.failed,
        },
        "metadata": batch.metadata,
    }


def _problems(batch: Batch) -> dict[str, Any] | None:
    if not batch.problems:
        return None
    data = [
        {"code": one.code, "message": one.message, "line": one.line, "param": one.param}
        for one in batch.problems
    ]
    return {"object": "list", "data": data}


def page(
    found: Sequence[T], after: str | None, limit: int, told: Callable[[T], dict[str, Any]]
) -> dict[str, Any]:
    """So many of ``found`` as a list, from behind the one called ``after``. Raises `NotFound`."""
    start = 0
    if after is not None:
        start = _place(found, after) + 1
    shown = found[start : start + limit]
    return {
        "object": "list",
        "data": [told(one) for one in shown],
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
        "has_more": start + limit < len(found),
    }


def _place(found: Iterable[Kept], after: str) -> int:
    for place, one in enumerate(found):
        if one.id == after:
            return place
    raise NotFound("`after` names nothing that is listed here", param="after")
