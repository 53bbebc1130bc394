"""POST /api/embed and /api/embeddings"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.ollama.embed_request import OllamaEmbeddingsRequest, OllamaEmbedRequest
from frontend.api.ollama.keep_alive import seconds_of
from frontend.api.ollama.names import known_as
from frontend.api.openai.embeddings import Embeddings, answer_of, listed, of_length_1
from frontend.api.route import JSON, Services
from frontend.api.validate import check
from frontend.http.body import read_json
from frontend.http.request_context import RequestContext
from ipc.messages.events import EmbedResult
from ipc.messages.spec import Spec


class OllamaEmbeddings:
    """Vectors for Ollama's clients."""

    def __init__(self, its: Services) -> None:
        self._dispatcher = its.dispatcher
        self._limits = its.serve
        self._most_s = its.serve.keep_alive_max_s
        self._embeddings = Embeddings(its.dispatcher, its.serve)

    async def embed(self, request: Request) -> Response:
        started_at = time.monotonic()
        body = await read_json(request, self._limits.max_json_bytes)
        asked = check(OllamaEmbedRequest, body.data, self._limits)
        spec = self._named(request, asked)
        if not asked.texts:
            return _json({"model": asked.model, "embeddings": []})
        result = await self._embeddings.embed(request, spec, asked.to_input(), body.size_bytes)
        tokens = result.usage.prompt_tokens if self._limits.embedding_usage else 0
        load_s = RequestContext.of(request.scope).load_s
        pieces = rendered(result, asked.model, tokens, started_at, load_s)
        return await answer_of(request, result.count * result.dimensions, pieces)

    async def embeddings(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = check(OllamaEmbeddingsRequest, body.data, self._limits)
        spec = self._named(request, asked)
        if not asked.prompt:
            return _json({"embedding": []})
        result = await self._embeddings.embed(request, spec, asked.to_input(), body.size_bytes)
        rows = b"".join(listed(result, lambda _, rows: list(rows)))
        return Response(b'{"embedding":' + rows + b"}", media_type=JSON)

    def _named(self, request: Request, asked: OllamaEmbedRequest | OllamaEmbeddingsRequest) -> Spec:
        spec = self._dispatcher.spec(known_as(self._dispatcher, asked.model), "embed")
        context = RequestContext.of(request.scope)
        context.names(spec)
        context.keeps(seconds_of(asked.keep_alive), self._most_s)
        return spec


def rendered(
    result: EmbedResult, model: str, tokens: int, started_at: float, load_s: float
) -> Iterator[bytes]:
    """The answer's body, piece by piece: vectors of length 1, as Ollama's are."""
    yield b'{"embeddings":['
    yield from listed(result, lambda _, rows: list(of_length_1(rows)))
    tail = {
        "model": model,
        "total_duration": round((time.monotonic() - started_at) * 1e9),
        "load_duration": round(load_s * 1e9),
        "prompt_eval_count": tokens,
    }
    yield b"]," + orjson.dumps(tail)[1:]


def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type=JSON)
