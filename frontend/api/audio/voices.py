"""GET /v1/audio/voices"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.dispatch.dispatcher import Dispatcher
from ipc.messages.spec import Spec, Voice


class Voices:
    """The voices of all models that speak, so far as they are known: an engine tells them once it
    has loaded its model."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def index(self, _: Request) -> Response:
        speak = [spec for spec in self._dispatcher.specs.values() if spec.task == "speak"]
        found = {spec.name: self._of(spec) for spec in speak}
        told = {
            "voices": [_entry(voice, name) for name, voices in found.items() for voice in voices],
            "unloaded": [name for name, voices in found.items() if not voices],
        }
        return Response(orjson.dumps(told), media_type="application/json")

    def _of(self, spec: Spec) -> list[Voice]:
        loaded = self._dispatcher.state(spec.name).loaded
        return loaded.voices or [] if loaded else []


def _entry(voice: Voice, model: str) -> dict[str, Any]:
    """A voice with its other names. Clients read ``id`` and ``name``."""
    return {
        "id": voice.name,
        "name": voice.name,
        "model": model,
        "language": voice.language,
        "aliases": voice.aliases,
    }
