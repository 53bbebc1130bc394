"""Reranking as a task: pairs to token ids before the encoder, logits to scores after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ipc.engine_options import RerankOptions
from ipc.messages.blob import Blob
from ipc.messages.errors import InternalError, InvalidRequest
from ipc.messages.events import RerankResult, Usage
from ipc.messages.jobs import Job, RerankInput
from ipc.messages.spec import Loaded, Spec
from worker.engines.common.plain_text import open_tokenizer
from worker.engines.encoders.cross import CrossEncoder, read_cross_encoder
from worker.engines.encoders.encoder import Array, Place, TextModel
from worker.engines.encoders.tokens import MAX_CHARACTERS_PER_TOKEN, mask, packed, padded
from worker.engines.encoders.truncation import (
    clipped,
    cut_length,
    cuts_by_default,
    set_truncation,
    too_long,
)


class Pair(NamedTuple):
    """A query and a document as one sequence of tokens; ``segments`` is 1 where the tokenizer says
    that a token is the document's."""

    ids: list[int]
    segments: list[int]


class PairScoring(TextModel[CrossEncoder, RerankOptions, Pair]):
    """Cuts jobs into pairs and joins logits into scores.

    Where pairs that are too long are cut, the longer of both texts is first, as
    sentence-transformers does.
    """

    options = RerankOptions
    read = staticmethod(read_cross_encoder)

    def open(self, spec: Spec, options: RerankOptions, checkpoint: CrossEncoder) -> None:
        self._checkpoint = checkpoint
        most = checkpoint.max_tokens
        self._max_tokens = min(most, spec.max_prompt_tokens or most)
        self._cuts = cuts_by_default(options.truncate, checkpoint.max_tokens)
        self._tokenizer = open_tokenizer(checkpoint.tokenizer)

    def loaded(self, place: Place) -> Loaded:
        activation = self._checkpoint.activation.lower()
        longer = "cut" if self._cuts else "refused"
        detail = f"cross-encoder, {activation} of its logit, longer texts {longer}"
        detail += f", {place.precision}"
        return Loaded(device=place.device, context_tokens=self._max_tokens, detail=detail)

    def split(self, job: Job) -> list[Pair]:
        if not isinstance(job.input, RerankInput) or not job.input.documents:
            raise InvalidRequest("a rerank request needs at least one document", param="documents")
        asked = job.input.truncation
        cut_to = cut_length(asked, self._cuts, self._max_tokens)
        query = self._fit(job.input.query, "query", cut_to, asked.side)
        texts = [
            (query, self._fit(text, f"documents[{at}]", cut_to, asked.side))
            for at, text in enumerate(self._documents(job.input))
        ]
        set_truncation(self._tokenizer, cut_to, asked.side, pairs=True)
        pairs = [Pair(each.ids, each.type_ids) for each in self._tokenizer.encode_batch(texts)]
        for at, pair in enumerate(pairs):
            if len(pair.ids) > self._max_tokens:
                what = f"the query and document {at} have {len(pair.ids)} tokens together"
                raise too_long(what, self._max_tokens, f"documents[{at}]")
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
        scores = activated(logits, job.input.activation or self._checkpoint.activation)
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

    def _documents(self, asked: RerankInput) -> list[str]:
        """The documents, each as far as it shall be read."""
        tokens = asked.document_tokens
        if tokens is None:
            return asked.documents
        longest = tokens * MAX_CHARACTERS_PER_TOKEN
        self._tokenizer.no_truncation()
        texts = [text[:longest] for text in asked.documents]
        found = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return [
            text if len(each) <= tokens else text[: each.offsets[tokens - 1][1]]
            for text, each in zip(texts, found, strict=True)
        ]

    def _fit(self, text: str, path: str, cut_to: int | None, side: str) -> str:
        """The text as it goes to the tokenizer."""
        longest = self._max_tokens * MAX_CHARACTERS_PER_TOKEN
        if len(text) > longest and cut_to is None:
            what = f"`{path}` has {len(text)} characters, which are more"
            raise too_long(what, self._max_tokens, path)
        return clipped(text, longest, side)


def activated(logits: NDArray[np.float64], activation: str) -> NDArray[np.float64]:
    """Logits to scores, by the name of an activation in `encoders.cross.ACTIVATIONS`."""
    if activation == "Sigmoid":
        return np.exp(-np.logaddexp(0.0, -logits))  # never overflows
    return np.tanh(logits) if activation == "Tanh" else logits
