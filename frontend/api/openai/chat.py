"""POST /v1/chat/completions"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.chats import Chats
from frontend.api.openai.chat_answer import Completion, fingerprint
from frontend.api.openai.chat_objects import Shape
from frontend.api.openai.chat_request import ChatRequest, parse_chat
from frontend.api.queued import queue_as_asked
from frontend.api.route import Services
from frontend.http.body import read_json
from frontend.http.request_context import RequestContext
from ipc.messages.spec import Spec


class Chat:
    """One turn of a conversation, streamed or whole."""

    def __init__(self, its: Services) -> None:
        self._chats = Chats(its)
        self._max_bytes = its.serve.max_json_bytes
        self._most_s = its.serve.keep_alive_max_s

    async def complete(self, request: Request) -> Response:
        body = await read_json(request, self._max_bytes)
        asked = parse_chat(body.data)
        RequestContext.of(request.scope).keeps(asked.ttl, self._most_s)
        RequestContext.of(request.scope).written = asked.written
        queue_as_asked(request, asked)
        return await self._chats.answer(
            request, asked, body.size_bytes, lambda spec: self._face(asked, spec)
        )

    def _face(self, asked: ChatRequest, spec: Spec) -> Completion:
        shape = Shape(
            reasons=self._chats.reasons(spec),
            shows_reasoning=asked.shows_reasoning,
            names_call=asked.names_call,
            names_tokens=asked.written is not None,
        )
        return Completion(asked.model, fingerprint(spec), shape, include_usage=asked.include_usage)
