"""POST /v1/embeddings, and the /embedding and /embeddings of llama.cpp's server"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.compat.llama_cpp_embeddings import PlainEmbeddingRequest
from frontend.api.openai.embeddings_request import EmbeddingRequest
from frontend.api.queued import queue_as_asked
from frontend.api.submission import result_of
from frontend.api.validate import check
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.body import read_json
from frontend.http.request_context import RequestContext
from ipc.messages.control import Serve
from ipc.messages.events import EmbedResult, Usage
from ipc.messages.jobs import EmbedInput
from ipc.messages.spec import Spec

FLOAT_BYTES = 4
# A number's digits, and the same once more while pieces become one body.
TEXT_BYTES = 24
# Where a model does not say: most have as many or fewer.
USUAL_DIMENSIONS = 1024
# Rendered in one turn of the loop, in some milliseconds.
PIECE_FLOATS = 1 << 17

# NumPy is imported by the first answer: ten megabytes that an idle server does not need.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]


class Embeddings:
    """One vector for each text."""

    def __init__(self, dispatcher: Dispatcher, limits: Serve) -> None:
        self._dispatcher = dispatcher
        self._limits = limits

    async def create(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = check(EmbeddingRequest, body.data, self._limits)
        queue_as_asked(request, asked)
        spec = self._dispatcher.spec(asked.model, "embed")
        result = await self.embed(request, spec, asked.to_input(), body.size_bytes)
        usage = result.usage if self._limits.embedding_usage else Usage()
        as_base64 = asked.encoding_format == "base64"
        pieces = render(result, asked.model, usage, as_base64=as_base64)
        return await answer_of(request, result.count * result.dimensions, pieces)

    async def create_plain(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = check(PlainEmbeddingRequest, body.data, self._limits)
        queue_as_asked(request, asked)
        dispatcher = self._dispatcher
        spec = dispatcher.spec(asked.model, "embed") if asked.model else dispatcher.only("embed")
        result = await self.embed(request, spec, asked.to_input(), body.size_bytes)
        return await answer_of(request, result.count * result.dimensions, render_plain(result))

    async def embed(
        self, request: Request, spec: Spec, asked: EmbedInput, size_bytes: int
    ) -> EmbedResult:
        """The vectors of ``asked`` by the model of ``spec``. Raises the job's `ServeError`, or
        `Cancelled`."""
        context = RequestContext.of(request.scope)
        context.names(spec)
        claim = context.claim
        if claim.is_large:  # by its body, which is encoded now; what its answer takes comes later
            await claim.turn()
        claim.add(asked.count * self._vector_bytes(spec))
        result = await result_of(self._dispatcher, request, spec, asked, size_bytes)
        assert isinstance(result, EmbedResult)
        return result

    def _vector_bytes(self, spec: Spec) -> int:
        """What a text's vector takes in an answer. It is claimed with the job: to refuse an answer
        that is there would waste the work."""
        loaded = self._dispatcher.state(spec.name).loaded
        return ((loaded and loaded.dimensions) or USUAL_DIMENSIONS) * (FLOAT_BYTES + TEXT_BYTES)


async def answer_of(request: Request, floats: int, pieces: Iterator[bytes]) -> Response:
    """The answer that ``pieces`` make, each in a turn of its own where there are several."""
    claim = RequestContext.of(request.scope).claim
    if floats <= PIECE_FLOATS:
        return Response(b"".join(pieces), media_type="application/json")
    made: list[bytes] = []
    while True:
        await claim.turn()
        piece = next(pieces, None)
        if piece is None:
            return Response(b"".join(made), media_type="application/json")
        made.append(piece)


def render(result: EmbedResult, model: str, usage: Usage, *, as_base64: bool) -> Iterator[bytes]:
    """The answer's body, piece by piece. Either way a client gets the very float32 values of the
    engine."""

    def items(at: int, rows: Rows) -> list[Any]:
        vectors = _base64(rows) if as_base64 else list(rows)
        return [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(vectors, at)
        ]

    tail = {
        "model": model,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "total_tokens": usage.prompt_tokens,
        },
    }
    yield b'{"object":"list","data":['
    yield from listed(result, items)
    yield b"]," + orjson.dumps(tail)[1:]


def render_plain(result: EmbedResult) -> Iterator[bytes]:
    """llama.cpp's form: an array without an envelope, and in each item an array of vectors, one
    where a text is pooled, of Euclidean length 1."""

    def items(at: int, rows: Rows) -> list[Any]:
        vectors = enumerate(of_length_1(rows), at)
        return [{"index": index, "embedding": [vector]} for index, vector in vectors]

    yield b"["
    yield from listed(result, items)
    yield b"]"


def of_length_1(rows: Rows) -> Rows:
    """Each row by its Euclidean length."""
    import numpy as np

    scaled: Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(min=1e-12)
    return scaled


def listed(result: EmbedResult, items: Callable[[int, Rows], list[Any]]) -> Iterator[bytes]:
    """What ``items`` makes of some rows after the other, as the inside of one array."""
    import numpy as np

    values = np.frombuffer(result.vectors.data, dtype="<f4")
    rows = values.reshape(result.count, result.dimensions)
    step = max(1, PIECE_FLOATS // result.dimensions)
    for at in range(0, result.count, step):
        # orjson prints float32 shorter and faster than Python's floats.
        text = orjson.dumps(items(at, rows[at : at + step]), option=orjson.OPT_SERIALIZE_NUMPY)
        yield (b"," if at else b"") + text[1:-1]


def _base64(rows: Rows) -> list[str]:
    """Each row's bytes as they came: little-endian float32."""
    return [base64.b64encode(row.data).decode("ascii") for row in rows]
