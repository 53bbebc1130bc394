"""POST /v1/embeddings, and the /embedding and /embeddings of llama.cpp's server"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.body import read_json
from frontend.collect import collect
from frontend.dispatch import Dispatcher
from frontend.exchange import Exchange
from frontend.schemas.embeddings import parse_embedding
from frontend.schemas.plain_embeddings import parse_plain_embedding
from ipc.control import Serve
from ipc.types import EmbedInput, EmbedResult, Spec, Usage

FLOAT_BYTES = 4


class Embeddings:
    """One vector for each text."""

    def __init__(self, dispatcher: Dispatcher, limits: Serve) -> None:
        self._dispatcher = dispatcher
        self._limits = limits

    async def create(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = parse_embedding(body.data)
        spec = self._dispatcher.spec(asked.model, "embed")
        result = await self._embed(request, spec, asked.to_input(self._limits), body.size_bytes)
        usage = result.usage if self._limits.embedding_usage else Usage()
        as_base64 = asked.encoding_format == "base64"
        content = render(result, asked.model, usage, as_base64=as_base64)
        return Response(content, media_type="application/json")

    async def create_plain(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = parse_plain_embedding(body.data)
        dispatcher = self._dispatcher
        spec = dispatcher.spec(asked.model, "embed") if asked.model else dispatcher.only("embed")
        result = await self._embed(request, spec, asked.to_input(self._limits), body.size_bytes)
        return Response(render_plain(result), media_type="application/json")

    async def _embed(
        self, request: Request, spec: Spec, asked: EmbedInput, size_bytes: int
    ) -> EmbedResult:
        exchange = Exchange.of(request.scope)
        exchange.names(spec)
        stream = exchange.stream = self._dispatcher.submit(
            exchange.request_id, spec, asked, size_bytes
        )
        _, done = await collect(stream, request.receive)
        exchange.usage = done.result.usage
        assert isinstance(done.result, EmbedResult)
        return done.result


def render(result: EmbedResult, model: str, usage: Usage, *, as_base64: bool) -> bytes:
    """The answer's body. Either way a client gets the very float32 values of the engine."""
    vectors: list[Any] = _base64(result) if as_base64 else list(_rows(result))
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "total_tokens": usage.prompt_tokens,
        },
    }
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def render_plain(result: EmbedResult) -> bytes:
    """llama.cpp's form: an array without an envelope, and in each item an array of vectors, one
    where a text is pooled, of Euclidean length 1."""
    rows = _rows(result)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(min=1e-12)
    body = [{"index": at, "embedding": [row]} for at, row in enumerate(rows)]
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _base64(result: EmbedResult) -> list[str]:
    """Each row's bytes as they came: little-endian float32."""
    row_bytes = result.dimensions * FLOAT_BYTES
    data = memoryview(result.vectors.data)
    starts = range(0, result.count * row_bytes, row_bytes)
    return [base64.b64encode(data[at : at + row_bytes]).decode("ascii") for at in starts]


def _rows(result: EmbedResult) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The vectors as an array: orjson prints float32 shorter and faster than Python's floats."""
    values = np.frombuffer(result.vectors.data, dtype="<f4")
    return values.reshape(result.count, result.dimensions)
