"""/admin/requests: what this server works on, and the last that it has ended"""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.models import as_json
from frontend.api.admin.operator import Operator
from frontend.http.request_registry import RequestRecord


class AdminRequests:
    """Never what a request says, nor its answer."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    async def index(self, _: Request) -> Response:
        now_s = time.time()
        records = self._operator.requests.records()
        return as_json({"requests": [told(record, now_s) for record in records]})

    async def get(self, request: Request) -> Response:
        record = self._operator.requests.record(request.path_params["request_id"])
        return as_json(told(record, time.time()))

    async def cancel(self, request: Request) -> Response:
        record = self._operator.cancel(request.path_params["request_id"])
        return as_json(told(record, time.time()))


def told(record: RequestRecord, now_s: float) -> dict[str, Any]:
    """``record`` as it is told at ``now_s``, in seconds since 1970."""
    usage = record.usage
    return {
        "id": record.id,
        "path": record.path,
        "stage": record.stage,
        "key": record.key,
        "client": record.client,
        "model": record.model,
        "began_at": round(now_s - record.age_s, 3),
        "age_s": round(record.age_s, 3),
        "waiting": record.waiting,
        "times": {
            name: _rounded(getattr(record, name))
            for name in ("submitted_s", "dispatched_s", "first_s", "total_s")
        },
        "tokens": usage
        and {
            "prompt": usage.prompt_tokens,
            "completion": usage.completion_tokens,
            "cached": usage.cached_tokens,
        },
        "status": record.status,
        "error": record.error,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
