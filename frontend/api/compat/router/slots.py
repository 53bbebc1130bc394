"""GET /slots as in llama.cpp's server: which places of a chat model are taken."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.models import as_json
from frontend.api.compat.props import chat_model
from frontend.api.compat.router.asked import SlotsQuery
from frontend.api.route import Services
from frontend.api.validate import check_query
from ipc.messages.errors import Unavailable


class Slots:
    """Counts them, and never tells what is in one: here a slot has no number of its own."""

    def __init__(self, its: Services) -> None:
        self._dispatcher = its.dispatcher

    async def show(self, request: Request) -> Response:
        asked = check_query(SlotsQuery, request)
        spec = chat_model(self._dispatcher, asked.model)
        loaded = self._dispatcher.state(spec.name).loaded
        busy = self._dispatcher.queues()[spec.name]["in_flight"]
        slots = spec.slots * spec.replicas
        if asked.wants_one and busy >= slots:
            raise Unavailable("no slot of this model is free")
        n_ctx = (loaded.context_tokens if loaded else None) or 0
        return as_json(
            [{"id": at, "n_ctx": n_ctx, "is_processing": at < busy} for at in range(slots)]
        )
