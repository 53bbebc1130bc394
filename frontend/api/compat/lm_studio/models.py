"""/api/v1/models and the older /api/v0/models, as in LM Studio: what there is, loads, unloads.

https://lmstudio.ai/docs/developer/rest
"""

from __future__ import annotations

import time
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.models import as_json
from frontend.api.compat.lm_studio.asked import LmStudioLoad, LmStudioUnload
from frontend.api.compat.lm_studio.facts import TYPES, entry, load_config, older_entry
from frontend.api.route import Services
from frontend.api.validate import Body, check
from frontend.http.body import read_json
from frontend.http.disconnect import Watch
from frontend.http.request_context import RequestContext
from ipc.messages.errors import ModelLoading, ModelNotFound
from ipc.messages.spec import Spec

B = TypeVar("B", bound=Body)


class LmStudioModels:
    """A model has at most one instance here, which has its name."""

    def __init__(self, its: Services) -> None:
        self._dispatcher = its.dispatcher
        self._operator = its.operator
        self._max_json_bytes = its.serve.max_json_bytes

    async def older_index(self, _: Request) -> Response:
        found = [older_entry(spec, self._dispatcher.state(spec.name)) for spec in self._specs()]
        return as_json({"object": "list", "data": found})

    async def older_get(self, request: Request) -> Response:
        spec = self._spec(request.path_params["model"])
        return as_json(older_entry(spec, self._dispatcher.state(spec.name)))

    async def index(self, _: Request) -> Response:
        found = [entry(spec, self._dispatcher.state(spec.name)) for spec in self._specs()]
        return as_json({"models": found})

    async def load(self, request: Request) -> Response:
        """Answered once the model is ready."""
        asked = await self._asked(LmStudioLoad, request)
        spec = self._named(request, asked.model)
        began_at = time.monotonic()
        async with Watch(request.receive):
            model = await self._operator.load(spec.name, wait=True)
        if model["state"] != "ready":
            raise ModelLoading(f"model {spec.name!r} is still being loaded", retry_after_s=5.0)
        config = load_config(self._dispatcher.state(spec.name).loaded)
        told = {
            "type": TYPES[spec.task],
            "instance_id": spec.name,
            "load_time_seconds": round(time.monotonic() - began_at, 3),
            "status": "loaded",
        }
        return as_json({**told, "load_config": config} if asked.echo_load_config else told)

    async def unload(self, request: Request) -> Response:
        """What it has in hand it finishes."""
        asked = await self._asked(LmStudioUnload, request)
        spec = self._named(request, asked.instance_id)
        await self._operator.unload(spec.name, force=True)
        return as_json({"instance_id": asked.instance_id})

    async def _asked(self, kind: type[B], request: Request) -> B:
        return check(kind, (await read_json(request, self._max_json_bytes)).data)

    def _named(self, request: Request, name: str) -> Spec:
        spec = self._spec(name)
        RequestContext.of(request.scope).model = spec.name
        return spec

    def _spec(self, name: str) -> Spec:
        spec = self._dispatcher.called(name)
        if spec is None or spec.task not in TYPES:
            raise ModelNotFound(
                "this server has no such model for this API; GET /api/v1/models lists what it has",
                param="model",
            )
        return spec

    def _specs(self) -> list[Spec]:
        return [spec for spec in self._dispatcher.specs.values() if spec.task in TYPES]
