"""GET /api/tags, /api/ps and /api/version, POST /api/show"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.health import ANSWER_S
from frontend.api.ollama.answer import timestamp
from frontend.api.ollama.facts import capabilities_of, details, model_info, parameters
from frontend.api.ollama.models_request import OllamaModelRequest
from frontend.api.ollama.names import known_as
from frontend.api.openai.models import named
from frontend.api.route import JSON, Services
from frontend.api.validate import check
from frontend.http.body import read_json
from ipc.messages.errors import ModelNotFound
from ipc.messages.spec import Loaded, Spec

# The release of Ollama whose API this is. Some clients want one that is new enough for them.
API_VERSION = "0.33.0"
# What Ollama has an API for.
_TASKS = ("chat", "embed")
# Ollama's own clients call anything beyond twenty years "forever".
_NEVER = "9999-12-31T23:59:59Z"


class OllamaModels:
    """The models that Ollama's clients can use."""

    def __init__(self, its: Services) -> None:
        self._dispatcher = its.dispatcher
        self._control = its.control
        self._max_bytes = its.serve.max_json_bytes

    async def tags(self, _: Request) -> Response:
        return _json({"models": [self._listed(name, spec) for name, spec in self._named()]})

    async def ps(self, _: Request) -> Response:
        found = [(name, spec, self._loaded(spec)) for name, spec in self._named()]
        leaves_in_s = await self._leaves_in_s()
        now = time.time()
        models = [
            running(name, spec, loaded, leaves_at(leaves_in_s.get(spec.name), now))
            for name, spec, loaded in found
            if loaded
        ]
        return _json({"models": models})

    async def _leaves_in_s(self) -> dict[str, float | None]:
        """In how many seconds each model is unloaded if nobody asks for it; None: never."""
        report = await self._control.health(ANSWER_S) or {"models": []}
        return {model["name"]: model.get("leaves_in_s") for model in report["models"]}

    async def show(self, request: Request) -> Response:
        body = await read_json(request, self._max_bytes)
        spec = self._spec(check(OllamaModelRequest, body.data).wanted)
        loaded = self._dispatcher.state(spec.name).loaded
        shown = {
            "parameters": parameters(spec),
            "details": details(spec),
            "model_info": model_info(spec, loaded),
            "capabilities": capabilities_of(spec, loaded),
            "modified_at": timestamp(spec.created),
        }
        return _json(shown)

    async def version(self, _: Request) -> Response:
        return _json({"version": API_VERSION})

    def _named(self) -> Iterator[tuple[str, Spec]]:
        return ((name, spec) for name, spec in named(self._dispatcher) if spec.task in _TASKS)

    def _spec(self, name: str) -> Spec:
        spec = self._dispatcher.called(known_as(self._dispatcher, name))
        if spec is None or spec.task not in _TASKS:
            raise ModelNotFound(
                "this server has no such model for this API; GET /api/tags lists what it has",
                param="model",
            )
        return spec

    def _listed(self, name: str, spec: Spec) -> dict[str, Any]:
        loaded = self._dispatcher.state(spec.name).loaded
        return {
            **_identity(name, spec),
            "modified_at": timestamp(spec.created),
            "capabilities": capabilities_of(spec, loaded),
        }

    def _loaded(self, spec: Spec) -> Loaded | None:
        """What is known of a model that answers now."""
        state = self._dispatcher.state(spec.name)
        return state.loaded if state.state == "ready" else None


def running(name: str, spec: Spec, loaded: Loaded, expires_at: str) -> dict[str, Any]:
    """A model that is loaded. All of its files are in the memory of its device."""
    on_gpu = loaded.device.startswith("cuda")
    return {
        **_identity(name, spec),
        "expires_at": expires_at,
        "size_vram": spec.facts.size_bytes if on_gpu else 0,
        "context_length": loaded.context_tokens or 0,
    }


def leaves_at(in_s: float | None, now: float) -> str:
    """``in_s`` seconds from ``now``, which counts since 1970; None is never."""
    return _NEVER if in_s is None else timestamp(now + in_s)


def _identity(name: str, spec: Spec) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "size": spec.facts.size_bytes,
        "digest": spec.facts.digest,
        "details": details(spec),
    }


def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type=JSON)
