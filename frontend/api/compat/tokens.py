"""POST /tokenize, /detokenize and /apply-template: a model's tokenizer is asked"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.compat.tokenize import (
    ChatTokenize,
    ContentTokenize,
    Detokenize,
    InputsTokenize,
    PromptTokenize,
    Tokenize,
    parse_chat_tokenize,
    parse_tokenize,
)
from frontend.api.compat.tokens_answer import spans, tokens_object
from frontend.api.tokenizers import Tokenizers
from frontend.api.validate import check
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.body import Json, read_json
from ipc.messages.control import Serve
from ipc.messages.events import TokenizeResult
from ipc.messages.spec import Spec


class Tokens:
    """Answers in the forms of three servers. A request may leave ``model`` out where there is one
    model for chats."""

    def __init__(self, dispatcher: Dispatcher, limits: Serve) -> None:
        self._dispatcher = dispatcher
        self._tokenizers = Tokenizers(dispatcher)
        self._limits = limits

    async def tokenize(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = parse_tokenize(body.data, self._limits)
        spec = self._tokenizers.of(request, asked.model)
        result = await self._ask(request, spec, asked, body)
        return _json(self._told(asked, spec, result))

    async def detokenize(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = check(Detokenize, body.data)
        spec = self._tokenizers.of(request, asked.model)
        result = await self._ask(request, spec, asked, body)
        return _json({"content": result.text, "prompt": result.text})

    async def apply_template(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = parse_chat_tokenize(body.data)
        spec = self._tokenizers.of(request, asked.model)
        result = await self._ask(request, spec, asked, body)
        return _json({"prompt": result.text})

    async def _ask(
        self, request: Request, spec: Spec, asked: Tokenize | Detokenize, body: Json
    ) -> TokenizeResult:
        return await self._tokenizers.ask(request, spec, asked.to_input(spec), body.size_bytes)

    def _told(self, asked: Tokenize, spec: Spec, result: TokenizeResult) -> Any:
        if isinstance(asked, InputsTokenize):
            texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
            return [spans(row, text) for row, text in zip(result.rows, texts, strict=True)]
        (row,) = result.rows
        loaded = self._dispatcher.state(spec.name).loaded
        return tokens_object(
            row,
            loaded.context_tokens if loaded else None,
            pieces=isinstance(asked, ContentTokenize) and bool(asked.with_pieces),
            texts=isinstance(asked, PromptTokenize | ChatTokenize)
            and bool(asked.return_token_strs),
        )


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
