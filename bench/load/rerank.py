"""Reranking: a query and its documents to scores."""

from __future__ import annotations

import orjson

from bench.load.outcome import Outcome
from bench.load.server import Reply, Request
from bench.words import Texts
from ipc.tasks import TASKS

QUERY_WORDS = 8


class Rerank:
    """So many documents in each request, all of random words, which no cache has seen; the query
    may be given."""

    capability = TASKS["rerank"].capability

    def __init__(self, query: str | None, words: int, documents: int) -> None:
        self._query = query
        self._queries = Texts(QUERY_WORDS, seed=None)
        self._texts = Texts(words, seed=None)
        self._count = documents

    def request(self, model: str) -> Request:
        query = self._query or self._queries.take(1)[0]
        body = {"model": model, "query": query, "documents": self._texts.take(self._count)}
        return Request("/v1/rerank", orjson.dumps(body))

    def read(self, _: Request, reply: Reply) -> Outcome:
        results = orjson.loads(reply.body)["results"]
        if len(results) != self._count:
            raise ValueError(f"{len(results)} results for {self._count} documents")
        return Outcome(reply.seconds, {"documents": float(self._count)})
