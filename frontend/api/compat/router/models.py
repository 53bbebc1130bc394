"""GET /models, POST /models/load and /models/unload, as in llama.cpp's server without a model.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md#using-multiple-models
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.models import as_json
from frontend.api.compat.router.asked import ModelRequest
from frontend.api.openai.models import entry
from frontend.api.route import Services
from frontend.api.validate import check
from frontend.http.body import read_json
from frontend.http.request_context import RequestContext
from ipc.messages.jobs import Task
from ipc.messages.spec import Loaded, Spec

# What a model of each task reads, and what it makes.
_MODALITIES: dict[Task, tuple[list[str], list[str]]] = {
    "chat": (["text"], ["text"]),
    "embed": (["text"], ["embeddings"]),
    "rerank": (["text"], ["scores"]),
    "speech": (["audio"], ["text"]),
    "speak": (["text"], ["audio"]),
}


class RouterModels:
    """Renders what `Operator` and the dispatcher tell, and hands wishes on."""

    def __init__(self, its: Services) -> None:
        self._dispatcher = its.dispatcher
        self._operator = its.operator
        self._max_json_bytes = its.serve.max_json_bytes

    async def index(self, _: Request) -> Response:
        data = [self._entry(spec) for spec in self._dispatcher.specs.values()]
        return as_json({"object": "list", "data": data})

    async def load(self, request: Request) -> Response:
        """It is on its way when this is answered."""
        await self._operator.load(await self._named(request))
        return as_json({"success": True})

    async def unload(self, request: Request) -> Response:
        """What it has in hand it finishes."""
        await self._operator.unload(await self._named(request), force=True)
        return as_json({"success": True})

    async def _named(self, request: Request) -> str:
        body = await read_json(request, self._max_json_bytes)
        spec = self._operator.named(check(ModelRequest, body.data).model)
        RequestContext.of(request.scope).model = spec.name
        return spec.name

    def _entry(self, spec: Spec) -> dict[str, Any]:
        state = self._dispatcher.state(spec.name)
        aliases = self._dispatcher.aliases
        return {
            **entry(spec, state),
            "aliases": [alias for alias, name in aliases.items() if name == spec.name],
            "architecture": architecture(spec),
            "meta": _facts(spec, state.loaded) if state.loaded else None,
        }


def architecture(spec: Spec) -> dict[str, Any]:
    reads, makes = _MODALITIES[spec.task]
    return {
        "input_modalities": [*reads, "image"] if spec.vision else reads,
        "output_modalities": makes,
    }


def _facts(spec: Spec, loaded: Loaded) -> dict[str, Any]:
    return {
        "n_ctx": loaded.context_tokens,
        "n_embd": loaded.dimensions,
        "n_params": spec.facts.parameters or None,
        "size": spec.facts.size_bytes or None,
    }
