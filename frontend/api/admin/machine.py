"""GET /admin/box and POST /admin/drain: the machine, and the server as a whole"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.models import as_json
from frontend.api.admin.operator import Operator


class Machine:
    """Renders what `Operator` tells."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    async def box(self, _: Request) -> Response:
        return as_json(await self._operator.box())

    async def drain(self, _: Request) -> Response:
        return as_json(await self._operator.stop(), 202)
