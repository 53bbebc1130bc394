"""The routes that rank documents, and score pairs of texts."""

from __future__ import annotations

from frontend.api.rerank import answers as rankings
from frontend.api.rerank.request import RERANK_PATHS, RerankRequest, TextsRerankRequest
from frontend.api.rerank.route import Rerank
from frontend.api.rerank.score import SCORE_PATHS, ScoreRequest, Scores
from frontend.api.route import JSON, Route

_RERANK = tuple(
    Route(
        method="POST",
        path=path,
        id=path.strip("/").replace("/", "_"),
        summary="Documents by their relevance to a query",
        answer=lambda its: Rerank(its.dispatcher, its.serve).rerank,
        task="rerank",
        takes=(RerankRequest, TextsRerankRequest),
        gives={JSON: (rankings.Ranking, [rankings.RankedByTei])},
    )
    for path in RERANK_PATHS
)

_SCORE = tuple(
    Route(
        method="POST",
        path=path,
        id=path.strip("/").replace("/", "_"),
        summary="How much each text has to do with one, as vLLM tells it",
        answer=lambda its: Rerank(its.dispatcher, its.serve).score,
        task="rerank",
        takes=(ScoreRequest,),
        gives={JSON: Scores},
    )
    for path in SCORE_PATHS
)

ROUTES: tuple[Route, ...] = (*_RERANK, *_SCORE)
