"""GET /models/sse: what becomes of models, as llama.cpp's router tells it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.openai.load_status import load_status
from frontend.api.route import Services
from frontend.http.following import Following
from frontend.http.sse import KEEPALIVE, event
from ipc.messages.admin import BoxEvent

_ALL_MODELS = "*"
_OF_PULLS = {"finished": "download_finished", "failed": "download_failed"}


class RouterEvents:
    """Only what comes from now on: its clients ask for the list first."""

    def __init__(self, its: Services) -> None:
        self._feed = its.control.events
        self._followers = its.operator.followers
        self._keepalive_s = its.serve.keepalive_s

    async def follow(self, _: Request) -> Response:
        return Following(self._all(self._feed.newest), self._followers, self._keepalive_s)

    async def _all(self, seq: int) -> AsyncGenerator[bytes, None]:
        yield KEEPALIVE  # an answer's head is sent with what follows it
        async for happened in self._feed.follow(seq):
            if happened.type in _TOLD:
                yield event(_TOLD[happened.type](happened))


def _of_model(happened: BoxEvent) -> dict[str, Any]:
    status = load_status(happened.facts["state"])
    data = {"status": status.pop("value"), **status}
    return {"model": happened.model, "event": "model_status", "data": data}


def _of_pull(happened: BoxEvent) -> dict[str, Any]:
    facts = happened.facts
    name = happened.model or facts["name"] or facts["source"].removeprefix("hf:")
    if (word := _OF_PULLS.get(facts["state"])) is not None:
        return {"model": name, "event": word}
    progress = {"done": facts["done_bytes"], "total": facts["total_bytes"]}
    return {"model": name, "event": "download_progress", "data": {facts["source"]: progress}}


def _of_all(_: BoxEvent) -> dict[str, Any]:
    return {"model": _ALL_MODELS, "event": "models_reload"}


# Events of this server by the types that docs/admin.md has, each with how it is told there.
_TOLD: dict[str, Callable[[BoxEvent], dict[str, Any]]] = {
    "model.state": _of_model,
    "pull.progress": _of_pull,
    "config.reloaded": _of_all,
}
