"""Reranking as a task: pairs to token ids before the encoder, logits to scores after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ipc.errors import ContextTooLong, InternalError, InvalidRequest
from ipc.types import Blob, Job, Loaded, RerankInput, RerankResult, Spec, Usage
from worker.engines.cross import CrossEncoder, read_cross_encoder
from worker.engines.encoder import Array, Place, TextModel
from worker.engines.tokens import MAX_CHARACTERS_PER_TOKEN, mask, open_tokenizer, packed, padded


class Pair(NamedTuple):
    """A query and a document as one sequence of tokens; ``segments`` is 1 where the tokenizer says
    that a token is the document's."""

    ids: list[int]
    segments: list[int]


class PairScoring(TextModel[CrossEncoder, Pair]):
    """Cuts jobs into pairs and joins logits into scores.

    Of ``spec.options`` it reads ``truncate``: cut pairs that are too long, the longer of both texts
    first as sentence-transformers does, instead of refusing them.
    """

    options = ("truncate",)
    read = staticmethod(read_cross_encoder)

    def open(self, spec: Spec, checkpoint: CrossEncoder) -> None:
        self._checkpoint = checkpoint
        self._max_tokens = min(checkpoint.max_tokens, spec.max_prompt_tokens)
        self._truncate = bool(spec.options.get("truncate", False))
        self._tokenizer = open_tokenizer(checkpoint.tokenizer)
        if self._truncate:
            self._tokenizer.enable_truncation(self._max_tokens, strategy="longest_first")

    def loaded(self, place: Place) -> Loaded:
        activation = self._checkpoint.activation.lower()
        detail = f"cross-encoder, {activation} of its logit, {place.precision}"
        return Loaded(device=place.device, context_tokens=self._max_tokens, detail=detail)

    def split(self, job: Job) -> list[Pair]:
        if not isinstance(job.input, RerankInput) or not job.input.documents:
            raise InvalidRequest("a rerank request needs at least one document", param="documents")
        query = self._fit(job.input.query, "query")
        texts = [
            (query, self._fit(text, f"documents[{at}]"))
            for at, text in enumerate(job.input.documents)
        ]
        pairs = [Pair(each.ids, each.type_ids) for each in self._tokenizer.encode_batch(texts)]
        for at, pair in enumerate(pairs):
            if len(pair.ids) > self._max_tokens:
                what = f"the query and document {at} have {len(pair.ids)} tokens together"
                raise self._too_long(what, f"documents[{at}]")
        return pairs

    def size(self, item: Pair) -> int:
        return len(item.ids)

    def key(self, item: Pair) -> tuple[bytes, bytes]:
        return packed(item.ids), bytes(item.segments)

    def join(self, job: Job, items: Sequence[Pair], outputs: Sequence[np.float32]) -> RerankResult:
        assert isinstance(job.input, RerankInput)
        logits = np.asarray(outputs, dtype=np.float64)
        if not np.isfinite(logits).all():
            raise InternalError("the model made a score that is not finite")
        scores = activated(logits, self._checkpoint.activation)
        return RerankResult(
            scores=Blob(scores.astype("<f4").tobytes()),
            count=len(scores),
            usage=Usage(prompt_tokens=sum(len(item.ids) for item in items)),
        )

    def pad(self, items: Sequence[Pair]) -> list[Array]:
        """Token ids, attention mask, and segments where the model has them."""
        ids = [item.ids for item in items]
        arrays = [padded(ids, self._checkpoint.pad_token), mask(ids)]
        if self._checkpoint.segments:
            arrays.append(padded([item.segments for item in items], 0))
        return arrays

    def _fit(self, text: str, path: str) -> str:
        """The text as it goes to the tokenizer."""
        longest = self._max_tokens * MAX_CHARACTERS_PER_TOKEN
        if len(text) > longest and not self._truncate:
            raise self._too_long(f"{path} has {len(text)} characters", path)
        return text[:longest]

    def _too_long(self, what: str, param: str) -> ContextTooLong:
        return ContextTooLong(
            f"{what}, more than the {self._max_tokens} tokens that this model takes; shorten it or "
            "split it",
            param=param,
        )


def activated(logits: NDArray[np.float64], activation: str) -> NDArray[np.float64]:
    """Logits to scores, by the name of an activation in `worker.engines.cross.ACTIVATIONS`."""
    if activation == "Sigmoid":
        return np.exp(-np.logaddexp(0.0, -logits))  # never overflows
    return np.tanh(logits) if activation == "Tanh" else logits
