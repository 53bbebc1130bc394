"""/admin/requests: what this server works on, and what it has ended"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.asked import RequestsQuery
from frontend.api.admin.models import as_json
from frontend.api.admin.operator import Operator
from frontend.api.validate import check_query
from frontend.history.request_record import RequestRecord
from frontend.history.request_rows import Wanted

TIMES = (
    *("submitted_s", "dispatched_s", "resumed_s", "began_s", "read_s", "worked_s"),
    *("first_s", "total_s"),
)


class AdminRequests:
    """Never what a request says, nor its answer."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    async def index(self, request: Request) -> Response:
        asked = check_query(RequestsQuery, request)
        wanted = Wanted(
            by=asked.key,
            model=asked.model,
            path=asked.path,
            statuses=asked.statuses,
            since_s=asked.since,
        )
        page = await self._operator.requests.page(wanted, asked.limit, asked.before)
        now_s = time.time()
        records = [told(record, now_s) for record in page.records]
        return as_json({"requests": records, "next": page.next})

    async def get(self, request: Request) -> Response:
        record = await self._operator.requests.record(request.path_params["request_id"])
        return as_json(told(record, time.time()))

    async def cancel(self, request: Request) -> Response:
        record = self._operator.cancel(request.path_params["request_id"])
        return as_json(told(record, time.time()))


def told(record: RequestRecord, now_s: float) -> dict[str, Any]:
    """``record`` as it is told at ``now_s``, in seconds since 1970."""
    usage = record.usage
    return {
        "id": record.id,
        "method": record.method,
        "path": record.path,
        "stage": record.stage,
        "key": record.key,
        "client": record.client,
        "model": record.model,
        "task": record.task,
        "stream": record.streams,
        "began_at": round(record.time_s, 3),
        "age_s": round(now_s - record.time_s, 3),
        "waiting": record.waiting,
        "times": {name: _rounded(getattr(record, name)) for name in TIMES},
        "load_s": _rounded(record.load_s),
        "attempt": record.attempt,
        "earlier": [
            {
                "began_s": _rounded(one.began_s),
                "ended_s": _rounded(one.ended_s),
                "ended": one.ended,
            }
            for one in record.earlier
        ],
        "worker_pid": record.worker_pid,
        "steps": record.steps,
        "prompt_tokens": record.prompt_tokens,
        "tokens": usage
        and {
            "prompt": usage.prompt_tokens,
            "completion": usage.completion_tokens,
            "cached": usage.cached_tokens,
            "reasoning": usage.reasoning_tokens,
        },
        "audio_s": _rounded(record.audio_s),
        "status": record.status,
        "error": record.error,
        "finish": record.finish,
        "shape": None if record.shape is None else msgspec.to_builtins(record.shape),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
