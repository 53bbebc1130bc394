"""/admin/models: how each model stands, and what an operator may do with it"""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.asked import LoadRequest, UnloadRequest
from frontend.api.admin.operator import Operator
from frontend.api.validate import Body, check
from frontend.http.body import read_json
from frontend.http.disconnect import Watch

B = TypeVar("B", bound=Body)


class AdminModels:
    """Renders what `Operator` tells. 202 means that it goes on."""

    def __init__(self, operator: Operator, max_json_bytes: int) -> None:
        self._operator = operator
        self._max_json_bytes = max_json_bytes

    async def index(self, _: Request) -> Response:
        return as_json({"models": await self._operator.models()})

    async def get(self, request: Request) -> Response:
        return as_json(await self._operator.model(model_named(request)))

    async def load(self, request: Request) -> Response:
        asked = await self._asked(LoadRequest, request)
        async with Watch(request.receive):
            model = await self._operator.load(
                model_named(request), wait=asked.wait, pin=asked.pin, keep_s=asked.keep_alive_s
            )
        return as_json(model, 200 if model["state"] == "ready" else 202)

    async def unload(self, request: Request) -> Response:
        asked = await self._asked(UnloadRequest, request)
        model = await self._operator.unload(model_named(request), force=asked.force)
        return as_json(model, 200 if model["state"] == "unloaded" else 202)

    async def remove(self, request: Request) -> Response:
        report = await self._operator.remove(model_named(request))
        return as_json({"model": report["model"], "bytes": report["bytes"]})

    async def pin(self, request: Request) -> Response:
        return as_json(await self._operator.pin(model_named(request), pinned=True))

    async def unpin(self, request: Request) -> Response:
        return as_json(await self._operator.pin(model_named(request), pinned=False))

    async def drain(self, request: Request) -> Response:
        return as_json(await self._operator.drain(model_named(request), drained=True))

    async def resume(self, request: Request) -> Response:
        return as_json(await self._operator.drain(model_named(request), drained=False))

    async def restart(self, request: Request) -> Response:
        return as_json(await self._operator.restart(model_named(request)), 202)

    async def _asked(self, kind: type[B], request: Request) -> B:
        return await asked_by(request, kind, self._max_json_bytes)


async def asked_by(request: Request, kind: type[B], max_bytes: int) -> B:
    """What the body asks for. No body asks for nothing else."""
    framed = request.headers.get("transfer-encoding") or request.headers.get("content-length")
    if framed in (None, "0"):
        return check(kind, {})
    return check(kind, (await read_json(request, max_bytes)).data)


def as_json(body: Any, status: int = 200) -> Response:
    """What is told is true now, and no longer."""
    headers = {"cache-control": "no-store"}
    return Response(orjson.dumps(body), status, headers, "application/json")


def model_named(request: Request) -> str:
    """The model of the path."""
    name: str = request.path_params["model"]
    return name
