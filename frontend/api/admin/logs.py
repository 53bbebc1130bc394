"""GET /admin/logs/{process}: what a process has said last, as text, or as it says it"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from frontend.api.admin.asked import MOST_LINES, LogQuery
from frontend.api.admin.operator import Operator
from frontend.api.validate import check_query
from frontend.http.following import Following
from frontend.http.sse import event
from ipc.messages.errors import ModelNotFound, NotFound
from ipc.runtime.recent_lines import Lines

# How often is looked whether there are more.
LOOK_S = 0.5


class Logs:
    """Of the supervisor, the frontend, or a worker by the name that /health has for it; by the
    name of a model of its first worker."""

    def __init__(self, operator: Operator, keepalive_s: float) -> None:
        self._operator = operator
        self._keepalive_s = keepalive_s

    async def read(self, request: Request) -> Response:
        asked = check_query(LogQuery, request)
        process, found = await self._found(request.path_params["process"], asked.tail)
        if not asked.follows:
            text = "".join(f"{line}\n" for line in found.lines)
            return PlainTextResponse(text, headers={"cache-control": "no-store"})
        parts = self._going_on(process, found)
        return Following(parts, self._operator.followers, self._keepalive_s)

    async def _found(self, name: str, tail: int) -> tuple[str, Lines]:
        """The process that is meant, and its last lines. Raises `NotFound`."""
        try:
            return name, await self._operator.log(name, tail)
        except NotFound as unknown:
            try:
                worker = await worker_of(self._operator, name)
            except ModelNotFound:
                raise unknown from None
        try:
            return worker, await self._operator.log(worker, tail)
        except NotFound:
            raise NotFound(f"no worker of model {name!r} was started yet") from None

    async def _going_on(self, process: str, found: Lines) -> AsyncGenerator[bytes, None]:
        async for line in lines_from(self._operator, process, found):
            yield event({"process": process, "line": line})


async def worker_of(operator: Operator, model: str) -> str:
    """The first worker of a model. Raises `ModelNotFound`, and `NotFound` where it has none."""
    told = await operator.model(model)
    if not told["replicas"]:
        raise NotFound(f"model {told['id']!r} has had no worker that could say anything")
    worker: str = told["replicas"][0]["replica"]
    return worker


async def lines_from(operator: Operator, process: str, found: Lines) -> AsyncGenerator[str, None]:
    """The lines ``found``, and from then on each that the process says, without end."""
    while True:
        for line in found.lines:
            yield line
        await asyncio.sleep(LOOK_S)
        found = await operator.log(process, MOST_LINES, found.last)
