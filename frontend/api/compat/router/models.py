"""GET, POST and DELETE /models, POST /models/load and /models/unload, as in llama.cpp's server
without a model.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md#using-multiple-models
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin import hub_names
from frontend.api.admin.model_report import Report
from frontend.api.admin.models import as_json
from frontend.api.compat.router.asked import ModelRequest, RemovalQuery
from frontend.api.openai.models import entry
from frontend.api.route import Services
from frontend.api.validate import check, check_query
from frontend.http.body import read_json
from frontend.http.request_context import RequestContext
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Task
from ipc.messages.spec import Loaded, Spec

# The states of a pull that can be cancelled.
_OPEN = ("waiting", "running", "paused")
_NO_PLACE = "{!r} names no repository of the hub; write <publisher>/<repository>[:<precision>]"
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

    async def download(self, request: Request) -> Response:
        """From the hub, under the name that is asked for. It is on its way when this is
        answered; what becomes of it, `RouterEvents` tell."""
        name = await self._asked(request)
        RequestContext.of(request.scope).acted_on = name
        wanted = hub_names.parse(name)
        if wanted is None:
            raise InvalidRequest(_NO_PLACE.format(name), param="model")
        if hub_names.served_as(self._dispatcher, name) is not None:
            raise InvalidRequest(f"model {name!r} is here already", param="model")
        await self._operator.pull(wanted.source, name=wanted.own_name, serve=True, force=False)
        return as_json({"success": True})

    async def remove(self, request: Request) -> Response:
        """Its files; of one that is being fetched, what is here by now."""
        name = check_query(RemovalQuery, request).model
        if name is None:
            raise InvalidRequest("`model` is required in the query", param="model")
        RequestContext.of(request.scope).acted_on = name
        for pull in (await self._operator.pulls())["pulls"]:
            if pull["state"] in _OPEN and name in (pull["name"], pull["model"], _place(pull)):
                await self._operator.control_pull(pull["id"], "cancel")
                return as_json({"success": True})
        await self._operator.remove(hub_names.served_as(self._dispatcher, name) or name)
        return as_json({"success": True})

    async def _named(self, request: Request) -> str:
        spec = self._operator.named(await self._asked(request))
        RequestContext.of(request.scope).model = spec.name
        return spec.name

    async def _asked(self, request: Request) -> str:
        body = await read_json(request, self._max_json_bytes)
        return check(ModelRequest, body.data).model

    def _entry(self, spec: Spec) -> dict[str, Any]:
        state = self._dispatcher.state(spec.name)
        aliases = self._dispatcher.aliases
        return {
            **entry(spec, state),
            "aliases": [alias for alias, name in aliases.items() if name == spec.name],
            "architecture": architecture(spec),
            "meta": _facts(spec, state.loaded) if state.loaded else None,
        }


def _place(pull: Report) -> str:
    """Where on the hub it comes from, as clients name it."""
    source: str = pull["source"]
    return source.removeprefix("hf:")


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
