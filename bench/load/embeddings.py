"""Embeddings: batches of texts to vectors."""

from __future__ import annotations

import orjson

from bench.load.outcome import Outcome
from bench.load.server import Reply, Request
from bench.words import Texts
from ipc.tasks import TASKS


class Embeddings:
    """So many texts in each request, of random words, which no cache has seen; or ``text``."""

    capability = TASKS["embed"].capability

    def __init__(self, text: str | None, words: int, batch: int) -> None:
        self._text = text
        self._texts = Texts(words, seed=None)
        self._batch = batch

    def request(self, model: str) -> Request:
        texts = [self._text] * self._batch if self._text else self._texts.take(self._batch)
        # base64 is what the official SDKs ask for.
        body = {"model": model, "input": texts, "encoding_format": "base64"}
        return Request("/v1/embeddings", orjson.dumps(body))

    def read(self, _: Request, reply: Reply) -> Outcome:
        answer = orjson.loads(reply.body)
        amounts = {"texts": float(len(answer["data"]))}
        # 0 where the server has been told not to count.
        if tokens := (answer.get("usage") or {}).get("prompt_tokens"):
            amounts["tokens"] = tokens
        return Outcome(reply.seconds, amounts)
