"""POST /admin/reload, and the update of one model: what has changed in the configuration."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.asked import ReloadRequest, UpdateRequest
from frontend.api.admin.models import as_json, asked_by, model_named
from frontend.api.admin.operator import Operator
from frontend.http.request_context import RequestContext


class Reloads:
    """The answer comes once the files are read; what they change goes on."""

    def __init__(self, operator: Operator, max_json_bytes: int) -> None:
        self._operator = operator
        self._max_json_bytes = max_json_bytes

    async def reload(self, request: Request) -> Response:
        asked = await asked_by(request, ReloadRequest, self._max_json_bytes)
        RequestContext.of(request.scope).only_asks = asked.dry_run
        report = await self._operator.reload(dry_run=asked.dry_run, downtime=asked.allow_downtime)
        return as_json(report)

    async def update(self, request: Request) -> Response:
        asked = await asked_by(request, UpdateRequest, self._max_json_bytes)
        report = await self._operator.reload(
            model=model_named(request), downtime=asked.allow_downtime
        )
        return as_json(report, 202)

    async def rollback(self, request: Request) -> Response:
        return as_json(await self._operator.roll_back(model_named(request)))
