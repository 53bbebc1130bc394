"""GET /running, /unload and /upstream/{model}, POST /api/models/unload and the same of a model.

https://github.com/mostlygeek/llama-swap
"""

from __future__ import annotations

from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from frontend.api.admin.models import as_json
from frontend.api.route import Services
from frontend.http.disconnect import Watch
from ipc.messages.errors import NotFound
from ipc.messages.spec import Spec
from ipc.messages.state import ModelPhase

# What runs, and how it is called there.
_STATES: dict[ModelPhase, Literal["starting", "ready", "stopping"]] = {
    "starting": "starting",
    "ready": "ready",
    "draining": "stopping",
}


class SwapModels:
    """A model that is told to leave finishes what it has in hand, and comes back with its next
    request."""

    def __init__(self, its: Services) -> None:
        self._dispatcher = its.dispatcher
        self._operator = its.operator

    async def running(self, _: Request) -> Response:
        specs = self._dispatcher.specs
        found = {name: self._dispatcher.state(name).state for name in sorted(specs)}
        return as_json(
            {
                "running": [
                    _running(specs[name], _STATES[phase])
                    for name, phase in found.items()
                    if phase in _STATES
                ]
            }
        )

    async def load(self, request: Request) -> Response:
        """Whoever asks a model how it is there, or for nothing of it, has it loaded, as llama-swap
        does for any request. What else is below it, `Upstream` has found before."""
        async with Watch(request.receive):
            await self._operator.load(request.path_params["model"], wait=True)
        return PlainTextResponse("OK")

    async def nowhere(self, request: Request) -> Response:
        name = self._operator.named(request.path_params["model"]).name
        raise NotFound(f"name a path of this server behind /upstream/{name}")

    async def unload_all(self, _: Request) -> Response:
        await self._operator.unload_all()
        return PlainTextResponse("OK")

    async def unload_all_told(self, _: Request) -> Response:
        await self._operator.unload_all()
        return as_json({"msg": "ok"})

    async def unload(self, request: Request) -> Response:
        await self._operator.unload(request.path_params["model"], force=True)
        return PlainTextResponse("OK")


def _running(spec: Spec, state: str) -> dict[str, Any]:
    return {
        "model": spec.name,
        "state": state,
        "cmd": "",
        "proxy": "",
        "ttl": 0 if spec.load == "always" else round(spec.idle_unload_s),
        "name": spec.name,
        "description": "",
    }
