"""GET /logs and /logs/stream: what a process has said, as plain lines."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from frontend.api.admin.asked import MOST_LINES
from frontend.api.admin.logs import lines_from, worker_of
from frontend.api.admin.operator import FRONTEND
from frontend.api.route import Services
from frontend.http.following import LINES, Following
from ipc.runtime.recent_lines import Lines

# What it calls the process that takes requests.
_PROXY = "proxy"


class SwapLogs:
    """Where nothing is named, and by ``proxy``, those of the process that takes requests; by the
    name of a model those of its first worker."""

    def __init__(self, its: Services) -> None:
        self._operator = its.operator
        self._keepalive_s = its.serve.keepalive_s

    async def read(self, _: Request) -> Response:
        found = await self._operator.log(FRONTEND, MOST_LINES)
        text = "".join(f"{line}\n" for line in found.lines)
        return PlainTextResponse(text, headers={"cache-control": "no-store"})

    async def follow(self, request: Request) -> Response:
        process = await self._process(request.path_params.get("model", _PROXY))
        with_history = "no-history" not in request.query_params
        found = await self._operator.log(process, MOST_LINES if with_history else 0)
        parts = self._lines(process, found)
        return Following(parts, self._operator.followers, self._keepalive_s, LINES)

    async def _process(self, name: str) -> str:
        return FRONTEND if name == _PROXY else await worker_of(self._operator, name)

    async def _lines(self, process: str, found: Lines) -> AsyncGenerator[bytes, None]:
        async for line in lines_from(self._operator, process, found):
            yield f"{line}\n".encode()
