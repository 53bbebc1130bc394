"""POST /v1/messages and /v1/messages/count_tokens as in Anthropic's API.

https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from functools import partial

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.anthropic.as_chat import message_as_chat, prompt_as_chat
from frontend.api.anthropic.message_answer import MessageAnswer
from frontend.api.anthropic.request import MessagesRequest, PromptRequest, parse
from frontend.api.chats import Chats
from frontend.api.queued import queue_as_asked
from frontend.api.route import Services
from frontend.api.tokenizers import Tokenizers
from frontend.api.translated import chat_of, told_by
from frontend.http.body import read_json
from frontend.http.request_context import RequestContext
from ipc.messages.spec import Spec


class Messages:
    """One turn of a conversation, and how many tokens its prompt would have."""

    def __init__(self, its: Services) -> None:
        self._chats = Chats(its)
        self._dispatcher = its.dispatcher
        self._tokenizers = Tokenizers(its.dispatcher)
        self._max_bytes = its.serve.max_json_bytes

    async def create(self, request: Request) -> Response:
        body = await read_json(request, self._max_bytes)
        asked = parse(MessagesRequest, body.data)
        queue_as_asked(request, asked)
        spec = self._dispatcher.spec(asked.model, "chat")
        words, names = message_as_chat(asked, reasons=self._chats.reasons(spec))
        face = partial(_answer, asked, RequestContext.of(request.scope).request_id)
        with told_by(names):
            return await self._chats.answer(request, chat_of(words, names), body.size_bytes, face)

    async def count(self, request: Request) -> Response:
        body = await read_json(request, self._max_bytes)
        asked = parse(PromptRequest, body.data)
        spec = self._tokenizers.of(request, asked.model)
        words, names = prompt_as_chat(asked, reasons=self._chats.reasons(spec))
        chat = chat_of(words, names)
        with told_by(names):
            tokens = await self._tokenizers.count(request, spec, chat, body.size_bytes)
        content = orjson.dumps({"input_tokens": tokens})
        return Response(content, media_type="application/json")


def _answer(asked: MessagesRequest, request_id: str, _: Spec) -> MessageAnswer:
    return MessageAnswer(
        asked.model,
        request_id,
        only_reads=asked.only_reads,
        shows_thinking=asked.shows_thinking,
    )
