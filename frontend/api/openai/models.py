"""GET /v1/models and GET /v1/models/{model}"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.openai.load_status import load_status
from frontend.dispatch.dispatcher import Dispatcher
from ipc.messages.errors import ModelNotFound
from ipc.messages.spec import Loaded, Spec
from ipc.messages.state import ModelState
from ipc.tasks import capabilities


class Models:
    """The configured models, ready or not."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def index(self, _: Request) -> Response:
        data = [self._entry(spec, name) for name, spec in named(self._dispatcher)]
        return _json({"object": "list", "data": data})

    async def get(self, request: Request) -> Response:
        name = request.path_params["model"]
        spec = self._dispatcher.called(name)
        if spec is None:
            raise ModelNotFound(
                "this server has no such model; GET /v1/models lists what it has", param="model"
            )
        return _json(self._entry(spec, name))

    def _entry(self, spec: Spec, name: str) -> dict[str, Any]:
        return entry(spec, self._dispatcher.state(spec.name), name)


def named(dispatcher: Dispatcher) -> Iterator[tuple[str, Spec]]:
    """Each model by its own name, then those that have others by these."""
    specs = dispatcher.specs
    yield from specs.items()
    for alias, name in dispatcher.aliases.items():
        if name in specs:
            yield alias, specs[name]


def entry(spec: Spec, state: ModelState, name: str | None = None) -> dict[str, Any]:
    """A model as clients see it, under its own ``name`` or an alias: OpenAI's four keys, then what
    helps to choose one."""
    loaded, chats = state.loaded, spec.task == "chat"
    return {
        "id": name or spec.name,
        "object": "model",
        "created": spec.created,
        "owned_by": spec.owned_by,
        "alias_of": spec.name if name not in (None, spec.name) else None,
        "capabilities": capabilities(spec, loaded),
        "state": state.state,
        "status": load_status(state.state),
        "dimensions": loaded.dimensions if loaded else None,
        "context_length": loaded.context_tokens if loaded else None,
        "max_prompt_tokens": _prompt_tokens(spec, loaded) if chats else None,
        "max_new_tokens": spec.max_new_tokens if chats else None,
        "languages": loaded.languages if loaded else None,
        "voices": [voice.name for voice in loaded.voices] if loaded and loaded.voices else None,
    }


def _prompt_tokens(spec: Spec, loaded: Loaded | None) -> int | None:
    """How long a prompt may be: all of the context but a token of an answer, unless the model's
    entry says less. None as long as nobody knows."""
    limits = [spec.max_prompt_tokens] if spec.max_prompt_tokens else []
    if loaded is not None and loaded.context_tokens:
        limits.append(loaded.context_tokens - 1)
    return min(limits, default=None)


def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
