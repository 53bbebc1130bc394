"""POST /v1/rerank"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from frontend.body import read_json
from frontend.collect import collect
from frontend.dispatch import Dispatcher
from frontend.exchange import Exchange
from frontend.schemas.rerank import RerankRequest
from frontend.schemas.validate import check
from ipc.control import Serve
from ipc.types import RerankResult


class Rerank:
    """Documents in the order of their relevance to a query."""

    def __init__(self, dispatcher: Dispatcher, limits: Serve) -> None:
        self._dispatcher = dispatcher
        self._limits = limits

    async def rerank(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = check(RerankRequest, body.data)
        spec = self._dispatcher.spec(asked.model, "rerank")
        exchange = Exchange.of(request.scope)
        exchange.names(spec)
        wanted = asked.to_input(self._limits)
        stream = exchange.stream = self._dispatcher.submit(
            exchange.request_id, spec, wanted, body.size_bytes
        )
        _, done = await collect(stream, request.receive)
        exchange.usage = done.result.usage
        assert isinstance(done.result, RerankResult)
        answer = {
            "id": f"rerank-{exchange.request_id}",
            "model": spec.name,
            "results": results(
                np.frombuffer(done.result.scores.data, dtype="<f4"),
                asked.top_n,
                wanted.documents if asked.return_documents else None,
            ),
            "usage": {
                "prompt_tokens": done.result.usage.prompt_tokens,
                "total_tokens": done.result.usage.prompt_tokens,
            },
        }
        content = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(content, media_type="application/json")


def results(
    scores: NDArray[np.float32], top_n: int | None, documents: list[str] | None
) -> list[dict[str, Any]]:
    """The ``top_n`` best documents, best first; equals stay in the order of the request."""
    order = np.argsort(-scores, kind="stable")[:top_n].tolist()
    found: list[dict[str, Any]] = [{"index": at, "relevance_score": scores[at]} for at in order]
    if documents is not None:
        for result in found:
            result["document"] = {"text": documents[result["index"]]}
    return found
