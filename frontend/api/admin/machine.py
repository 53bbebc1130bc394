"""GET /admin/box and /admin/config, POST /admin/drain and /admin/resume: the machine, and the
server as a whole"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.asked import DrainRequest
from frontend.api.admin.models import as_json, asked_by
from frontend.api.admin.operator import Operator


class Machine:
    """Renders what `Operator` tells."""

    def __init__(self, operator: Operator, max_json_bytes: int) -> None:
        self._operator = operator
        self._max_json_bytes = max_json_bytes

    async def box(self, _: Request) -> Response:
        return as_json(await self._operator.box())

    async def config(self, _: Request) -> Response:
        return as_json(await self._operator.config())

    async def drain(self, request: Request) -> Response:
        asked = await asked_by(request, DrainRequest, self._max_json_bytes)
        if asked.end:
            return as_json(await self._operator.stop(), 202)
        return as_json({"models": await self._operator.drain_all(drained=True)})

    async def resume(self, _: Request) -> Response:
        return as_json({"models": await self._operator.drain_all(drained=False)})
