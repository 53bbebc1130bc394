"""/v1/responses: made, and asked for again"""

from __future__ import annotations

import uuid
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from frontend.api.chats import Chats
from frontend.api.queued import queue_as_asked
from frontend.api.responses.history import PREVIOUS, listed, placed, said, told_apart
from frontend.api.responses.output_items import Shape
from frontend.api.responses.queries import ItemsQuery, ResponseQuery
from frontend.api.responses.request import Asked, ResponseRequest
from frontend.api.responses.response import Keep, Response, keep_nothing
from frontend.api.responses.store import ResponseStore, Stored
from frontend.api.route import JSON, Services
from frontend.api.tokenizers import Tokenizers
from frontend.api.translated import renamed
from frontend.api.validate import check, check_query
from frontend.dispatch.budget import Claim
from frontend.http.body import COPIES, check_values, read_json
from frontend.http.request_context import RequestContext, openai_form
from ipc.messages.errors import (
    InvalidRequest,
    NoPreviousResponse,
    NotFound,
    PayloadTooLarge,
)
from ipc.messages.spec import Spec


class Responses:
    """Has chat models respond."""

    def __init__(self, its: Services) -> None:
        self._chats = Chats(its)
        self._tokenizers = Tokenizers(its.dispatcher)
        self._store = its.responses
        self._max_bytes = its.serve.max_json_bytes

    async def create(self, request: Request) -> HttpResponse:
        body = await read_json(request, self._max_bytes)
        wanted = check(ResponseRequest, body.data)
        asked, size_bytes = await self._read(request, wanted, body.size_bytes)
        keep: Keep = keep_nothing
        if wanted.is_kept:
            keep = _keeping(self._store, RequestContext.of(request.scope).key, body.data)
        return await self._chats.answer(
            request, asked.chat, size_bytes, lambda spec: _response(wanted, asked, spec, keep)
        )

    async def count(self, request: Request) -> HttpResponse:
        body = await read_json(request, self._max_bytes)
        wanted = check(ResponseRequest, body.data)
        spec = self._tokenizers.of(request, wanted.model)
        asked, size_bytes = await self._read(request, wanted, body.size_bytes)
        tokens = await self._tokenizers.count(request, spec, asked.chat, size_bytes)
        return _json({"object": "response.input_tokens", "input_tokens": tokens})

    async def _read(
        self, request: Request, wanted: ResponseRequest, own_bytes: int
    ) -> tuple[Asked, int]:
        """What was asked with what it goes on from, and the bytes of both."""
        queue_as_asked(request, wanted)
        context = RequestContext.of(request.scope)
        chain = self._chain(context.key, wanted.previous_response_id)
        size_bytes = own_bytes + sum(stored.size_bytes for stored in chain)
        if size_bytes > self._max_bytes and chain:
            raise PayloadTooLarge(f"with `{PREVIOUS}` it is over {self._max_bytes} bytes")
        context.claim.add(COPIES * (size_bytes - own_bytes))
        asked = wanted.to_chat(placed(await _read(chain, context.claim)))
        # From here on errors are those of a chat.
        context.error_form = lambda error, request_id: openai_form(
            renamed(error, asked.names), request_id
        )
        return asked, size_bytes

    def _chain(self, key: str | None, previous_id: str | None) -> list[Stored]:
        if previous_id is None:
            return []
        chain = self._store.chain(key, previous_id)
        if chain is None:
            raise NoPreviousResponse(
                f"`{PREVIOUS}` names no response that is kept here; send its items as `input`",
                param=PREVIOUS,
            )
        return chain


class KeptResponses:
    """Tells of responses that have ended."""

    def __init__(self, its: Services) -> None:
        self._store = its.responses

    async def get(self, request: Request) -> HttpResponse:
        check_query(ResponseQuery, request)
        return HttpResponse(self._found(request)[-1].response, media_type=JSON)

    async def delete(self, request: Request) -> HttpResponse:
        key, response_id = _asked(request)
        if not self._store.remove(key, response_id):
            raise _not_found()
        return _json({"id": response_id, "object": "response", "deleted": True})

    async def input_items(self, request: Request) -> HttpResponse:
        """All that the model was given, what the response goes on from included."""
        asked = check_query(ItemsQuery, request)
        *before, last = self._found(request)
        claim = RequestContext.of(request.scope).claim
        claim.add(COPIES * sum(stored.size_bytes for stored in (*before, last)))
        await claim.turn()
        items = told_apart([*said(before), *orjson.loads(last.items)], last.id)
        if asked.order == "desc":
            items.reverse()
        start = 0 if asked.after is None else _place(items, asked.after) + 1
        shown = items[start : start + asked.limit]
        return _json(
            {
                "object": "list",
                "data": shown,
                "first_id": shown[0]["id"] if shown else None,
                "last_id": shown[-1]["id"] if shown else None,
                "has_more": start + asked.limit < len(items),
            }
        )

    def _found(self, request: Request) -> list[Stored]:
        """The response behind those that it goes on from."""
        key, response_id = _asked(request)
        stored = self._store.find(key, response_id)
        if stored is None:
            raise _not_found()
        return self._store.chain(key, response_id) or [stored]


async def _read(chain: list[Stored], claim: Claim) -> list[dict[str, Any]]:
    """The items of ``chain``, which many small requests may have made longer than one could be."""
    texts = (text for stored in chain for text in (stored.items, stored.response))
    await check_values(texts, claim, f"what `{PREVIOUS}` names")
    await claim.turn()
    return [*said(chain)]


def _response(wanted: ResponseRequest, asked: Asked, spec: Spec, keep: Keep) -> Response:
    shape = Shape(wanted.custom_tools, asked.chat.shows_reasoning, wanted.summarizes)
    return Response(wanted.model, wanted.told(spec), shape, names=asked.names, keep=keep)


def _keeping(store: ResponseStore, key: str | None, data: dict[str, Any]) -> Keep:
    """Keeps the response with the items of its request ``data``."""
    items = orjson.dumps(listed(data["input"], uuid.uuid4().hex))

    def keep(response: dict[str, Any]) -> None:
        previous_id = response[PREVIOUS]
        store.add(key, Stored(response["id"], orjson.dumps(response), items, previous_id))

    return keep


def _asked(request: Request) -> tuple[str | None, str]:
    return RequestContext.of(request.scope).key, request.path_params["response_id"]


def _not_found() -> NotFound:
    return NotFound("no response of this name is kept here")


def _place(items: list[dict[str, Any]], item_id: str) -> int:
    for place, item in enumerate(items):
        if item["id"] == item_id:
            return place
    raise InvalidRequest("`after` names no item of this response", param="after")


def _json(body: dict[str, Any]) -> HttpResponse:
    return HttpResponse(orjson.dumps(body), media_type=JSON)
