"""GET /props as in llama.cpp's server: clients read from it how long a prompt may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.answer import Answer
from frontend.api.openai.sampling_request import with_room_to_think
from frontend.api.validate import Body, check_query
from frontend.dispatch.dispatcher import Dispatcher
from ipc.messages.errors import ModelNotFound
from ipc.messages.spec import Loaded, Spec

BUILD = "edge-serve"


class PropsQuery(Body):
    model: str | None = None


class GenerationSettings(Answer):
    """Described for ``/openapi.json``, as `ServerProps`."""

    n_ctx: int | None
    params: dict[str, float]


class Modalities(Answer):
    vision: bool
    audio: bool


class ServerProps(Answer):
    """``n_ctx`` is null until the model has been loaded once."""

    role: Literal["model"]
    default_generation_settings: GenerationSettings
    total_slots: int
    model_alias: str
    modalities: Modalities
    build_info: str


class RouterProps(Answer):
    """Of a server with several chat models, of which the request names none."""

    role: Literal["router"]
    models_autoload: bool
    default_generation_settings: GenerationSettings
    model_alias: str
    build_info: str


class Props:
    """One chat model's: that of ``?model=``, which may be left out where there is one. Nothing is
    loaded for it."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def show(self, request: Request) -> Response:
        name = check_query(PropsQuery, request).model
        chats = [spec for spec in self._dispatcher.specs.values() if spec.task == "chat"]
        if name is None and len(chats) > 1:
            told = router_props(chats)
        else:
            spec = chat_model(self._dispatcher, name)
            told = props(spec, self._dispatcher.state(spec.name).loaded)
        return Response(orjson.dumps(told), media_type="application/json")


def chat_model(dispatcher: Dispatcher, name: str | None) -> Spec:
    """The chat model of this name or alias; without one the only one. Raises `ModelNotFound` and
    `InvalidRequest`."""
    if name is None:
        return dispatcher.only("chat")
    spec = dispatcher.called(name)
    if spec is None or spec.task != "chat":
        raise ModelNotFound(
            "this server has no such model for chats; GET /v1/models lists what it has",
            param="model",
        )
    return spec


def router_props(chats: Sequence[Spec]) -> dict[str, Any]:
    """By this clients know that they are to name a model."""
    return {
        "role": "router",
        "models_autoload": any(spec.load != "never" for spec in chats),
        # Their own are another matter for each; clients fail without these keys.
        "default_generation_settings": {"n_ctx": 0, "params": {}},
        "model_alias": BUILD,
        "build_info": BUILD,
    }


def props(spec: Spec, loaded: Loaded | None) -> dict[str, Any]:
    """What is known of a model, by llama.cpp's names."""
    reasons = loaded is not None and loaded.reasoning
    defaults = (with_room_to_think(spec) if reasons else spec).defaults
    params = {
        "temperature": defaults.temperature,
        "top_k": defaults.top_k,
        "top_p": defaults.top_p,
        "min_p": defaults.min_p,
        "presence_penalty": defaults.presence_penalty,
        "frequency_penalty": defaults.frequency_penalty,
        "repeat_penalty": defaults.repetition_penalty,
        "n_predict": defaults.max_tokens,
    }
    return {
        "role": "model",
        "default_generation_settings": {
            "n_ctx": loaded.context_tokens if loaded else None,
            "params": params,
        },
        "total_slots": spec.slots,
        "model_alias": spec.name,
        "modalities": {"vision": spec.vision, "audio": False},
        "build_info": BUILD,
    }
