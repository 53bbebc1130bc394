"""GET /admin/usage and /v1/usage: who has used what, and what is left of it"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.models import as_json
from frontend.api.usage.asked import OwnUsageQuery, UsageQuery
from frontend.api.validate import check_query
from frontend.http.request_context import RequestContext
from frontend.quotas.allowance import Allowance
from frontend.quotas.quota import Left
from frontend.store.database import Unavailable as NotKept
from frontend.usage.report import Question, Row, UsageReports, as_csv
from ipc.messages.errors import Unavailable


class Usage:
    """Renders what `UsageReports` finds."""

    def __init__(self, reports: UsageReports, wall_s: Callable[[], float] = time.time) -> None:
        self._reports = reports
        self._wall_s = wall_s

    async def all(self, request: Request) -> Response:
        asked = check_query(UsageQuery, request)
        question = asked.question(self._wall_s(), asked.key)
        rows = await self._rows(question)
        if asked.format == "csv":
            text = as_csv(rows, question.by)
            return Response(text, headers={"cache-control": "no-store"}, media_type="text/csv")
        return as_json(_answer(question, rows))

    async def own(self, request: Request) -> Response:
        context = RequestContext.of(request.scope)
        asked = check_query(OwnUsageQuery, request)
        question = asked.question(self._wall_s(), context.key or "")
        rows = await self._rows(question)
        allowance = context.allowance
        return as_json(
            {
                **_answer(question, rows),
                "key": context.key,
                "models": list(allowance.models) if allowance else [],
                "left": _left(allowance) if allowance else {},
            }
        )

    async def _rows(self, question: Question) -> list[Row]:
        try:
            return await self._reports.rows(question)
        except NotKept as error:
            raise Unavailable(f"usage cannot be told: {error}") from None


def _answer(question: Question, rows: list[Row]) -> dict[str, Any]:
    named = [row | {"key": row["key"] or None} if "key" in row else row for row in rows]
    since, until = question.since_s, question.until_s
    return {"since": since, "until": until, "by": list(question.by), "rows": named}


def _left(allowance: Allowance) -> dict[str, dict[str, Any] | None]:
    known = {
        "requests": allowance.requests_left(),
        "tokens": allowance.tokens_left(),
        "tokens_of_day": allowance.day_left(),
    }
    return {name: None if left is None else _told(left) for name, left in known.items()}


def _told(left: Left) -> dict[str, Any]:
    return {
        "limit": left.limit,
        "remaining": left.remaining,
        "reset_s": round(left.reset_s, 3),
    }
