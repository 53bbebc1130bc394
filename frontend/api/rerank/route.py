"""POST /v1/rerank, under its several names and in two forms, and /v1/score"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.queued import queue_as_asked
from frontend.api.rerank.request import RerankRequest, TextsRerankRequest, parse_rerank
from frontend.api.rerank.score import ScoreRequest, scores_object
from frontend.api.submission import result_of
from frontend.api.validate import check
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.body import read_json
from frontend.http.request_context import RequestContext
from ipc.messages.control import Serve
from ipc.messages.events import RerankResult, Usage
from ipc.messages.jobs import RerankInput
from ipc.messages.spec import Spec

# As in `frontend.api.openai.embeddings`.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]


class Rerank:
    """Documents in the order of their relevance to a query."""

    def __init__(self, dispatcher: Dispatcher, limits: Serve) -> None:
        self._dispatcher = dispatcher
        self._limits = limits

    async def rerank(self, request: Request) -> Response:
        body = await read_json(request, self._limits.max_json_bytes)
        asked = parse_rerank(body.data, self._limits)
        queue_as_asked(request, asked)
        wanted, spec = asked.to_input(), self._found(asked.model)
        scores, usage = await self._score(request, spec, wanted, body.size_bytes)
        if isinstance(asked, TextsRerankRequest):
            return _answer(ranked_by_tei(asked, wanted, scores))
        request_id = RequestContext.of(request.scope).request_id
        return _answer(ranking(asked, wanted, scores, usage, request_id))

    async def score(self, request: Request) -> Response:
        """As vLLM does: in the order of the request."""
        body = await read_json(request, self._limits.max_json_bytes)
        asked = check(ScoreRequest, body.data, self._limits)
        queue_as_asked(request, asked)
        wanted, spec = asked.to_input(), self._found(asked.model)
        scores, usage = await self._score(request, spec, wanted, body.size_bytes)
        request_id = RequestContext.of(request.scope).request_id
        return _answer(scores_object(asked.model or spec.name, scores, usage, request_id))

    def _found(self, name: str | None) -> Spec:
        dispatcher = self._dispatcher
        return dispatcher.spec(name, "rerank") if name else dispatcher.only("rerank")

    async def _score(
        self, request: Request, spec: Spec, wanted: RerankInput, size_bytes: int
    ) -> tuple[Scores, Usage]:
        context = RequestContext.of(request.scope)
        context.names(spec)
        context.claim.add(size_bytes)  # the answer may repeat the documents
        if context.claim.is_large:
            await context.claim.turn()
        result = await result_of(self._dispatcher, request, spec, wanted, size_bytes)
        assert isinstance(result, RerankResult)
        import numpy as np

        return np.frombuffer(result.scores.data, dtype="<f4"), result.usage


def _answer(content: Any) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")


def ranking(
    asked: RerankRequest, wanted: RerankInput, scores: Scores, usage: Usage, request_id: str
) -> dict[str, Any]:
    """The ``top_n`` best documents; what is counted stands where each kind of client looks."""
    found: list[dict[str, Any]] = [
        {"index": at, "relevance_score": scores[at]} for at in best(scores, asked.top_n)
    ]
    if asked.return_documents:
        for result in found:
            result["document"] = {"text": wanted.documents[result["index"]]}
    return {
        "id": f"rerank-{request_id}",
        "model": asked.model,
        "results": found,
        "usage": {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens},
        "meta": {"billed_units": {"search_units": 1}},
    }


def ranked_by_tei(
    asked: TextsRerankRequest, wanted: RerankInput, scores: Scores
) -> list[dict[str, Any]]:
    """All texts in an array without an envelope."""
    found: list[dict[str, Any]] = [{"index": at, "score": scores[at]} for at in best(scores)]
    if asked.return_text:
        for result in found:
            result["text"] = wanted.documents[result["index"]]
    return found


def best(scores: Scores, count: int | None = None) -> list[int]:
    """The places of the highest scores, best first; equals stay in the order of the request."""
    import numpy as np

    found: list[int] = np.argsort(-scores, kind="stable")[:count].tolist()
    return found
