"""GET /v1/audio/voices"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.dispatch.dispatcher import Dispatcher
from ipc.messages.spec import Spec, Voice


class Voices:
    """The voices of the models that are loaded."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def index(self, _: Request) -> Response:
        specs = self._dispatcher.specs.values()
        listed = [voice for spec in specs for voice in self._of(spec)]
        return Response(orjson.dumps({"voices": listed}), media_type="application/json")

    def _of(self, spec: Spec) -> list[dict[str, Any]]:
        loaded = self._dispatcher.state(spec.name).loaded
        return [_entry(voice, spec.name) for voice in (loaded.voices or () if loaded else ())]


def _entry(voice: Voice, model: str) -> dict[str, Any]:
    """A voice with its other names. Clients read ``id`` and ``name``."""
    return {
        "id": voice.name,
        "name": voice.name,
        "model": model,
        "language": voice.language,
        "aliases": voice.aliases,
    }
