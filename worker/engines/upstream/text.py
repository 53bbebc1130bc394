"""Text asked of an OpenAI-compatible server, and what its answers mean. No sockets in here.

Servers differ in what they leave out, so a field that can be missed is optional. What is there must
fit: an answer that does not is an error, never half a result.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from typing import Any

import msgspec

from ipc.messages.blob import Blob
from ipc.messages.errors import InternalError, UnsupportedParameter
from ipc.messages.events import EmbedResult, RerankResult
from ipc.messages.jobs import EmbedInput, RerankInput, Truncation
from worker.engines.common.server_json import decode_answer, not_understood, usage_of

_FLOAT_BYTES = 4


# --- embeddings ----------------------------------------------------------------------------------


class _Row(msgspec.Struct):
    embedding: str | list[float]
    index: int | None = None


class _Rows(msgspec.Struct):
    data: list[_Row]
    usage: Any = None


def embed_body(asked: EmbedInput, model: str) -> dict[str, Any]:
    """Raises `UnsupportedParameter` for what most servers skip in silence."""
    if asked.prompt_name is not None or asked.purpose is not None:
        name = "input_type" if asked.prompt_name is None else "prompt_name"
        raise UnsupportedParameter(
            f"`{name}` is not supported: the server behind this model may not know it; put the "
            "prompt before each text",
            param=name,
        )
    body: dict[str, Any] = {
        "model": model,
        "input": asked.texts or asked.tokens,
        "encoding_format": "base64",
    }
    body |= _truncation(asked.truncation)
    return body if asked.dimensions is None else {**body, "dimensions": asked.dimensions}


def _truncation(asked: Truncation) -> dict[str, Any]:
    """What the client asked for, in the words of each kind of server (TEI and Ollama, vLLM); to one
    that asked for nothing the upstream does as it is set."""
    if asked.cut is None:
        return {}
    found: dict[str, Any] = {"truncate": asked.cut}
    if asked.cut:
        found["truncate_prompt_tokens"] = -1 if asked.tokens is None else asked.tokens
    if asked.side == "left":
        found |= {"truncation_direction": "left", "truncation_side": "left"}
    return found


def embed_result(body: bytes, asked: EmbedInput) -> EmbedResult:
    """A vector for each text, sent as base64 of float32 or as numbers. Raises `InternalError`."""
    answer = decode_answer(body, _Rows)
    count = asked.count
    rows = [_floats(row.embedding) for row in _in_order(answer.data)]
    sizes = {len(row) for row in rows}
    if len(rows) != count or len(sizes) != 1 or not (size := sizes.pop()) or size % _FLOAT_BYTES:
        raise InternalError(f"the upstream sent {len(rows)} usable vectors for {count} texts")
    dimensions = size // _FLOAT_BYTES
    if asked.dimensions not in (None, dimensions):
        raise InternalError(
            f"the upstream sent vectors of {dimensions} dimensions in place of {asked.dimensions}"
        )
    return EmbedResult(
        vectors=Blob(_finite(b"".join(rows))),
        count=count,
        dimensions=dimensions,
        usage=usage_of(answer.usage),
    )


def _in_order(rows: list[_Row]) -> list[_Row]:
    """Rows by their indexes; as they came where they have none."""
    places = [row.index for row in rows if row.index is not None]
    if not places:
        return rows
    if sorted(places) != list(range(len(rows))):
        not_understood()
    return sorted(rows, key=lambda row: row.index or 0)


def _floats(vector: str | list[float]) -> bytes:
    """A vector as little-endian float32."""
    try:
        if isinstance(vector, str):
            return base64.b64decode(vector, validate=True)
        return struct.pack(f"<{len(vector)}f", *vector)
    except (binascii.Error, ValueError, OverflowError, struct.error):
        not_understood()


def _finite(floats: bytes) -> bytes:
    """``floats``, float32 of which none is infinite or no number: their sum would be neither."""
    if not math.isfinite(sum(memoryview(floats).cast("f"))):
        raise InternalError("the upstream sent numbers that are not finite")
    return floats


# --- rerank --------------------------------------------------------------------------------------


class _Ranked(msgspec.Struct):
    index: int
    relevance_score: float | None = None
    score: float | None = None

    @property
    def relevance(self) -> float:
        found = self.score if self.relevance_score is None else self.relevance_score
        return not_understood() if found is None else found


class _Ranking(msgspec.Struct):
    """Cohere, Jina, vLLM and llama-server say ``results``; Voyage says ``data``."""

    results: list[_Ranked] | None = None
    data: list[_Ranked] | None = None
    usage: Any = None

    def __post_init__(self) -> None:
        if self.results is None and self.data is None:
            raise ValueError


def rerank_body(asked: RerankInput, model: str) -> dict[str, Any]:
    """The request. Raises `UnsupportedParameter` for scores that only the model itself can give."""
    if asked.activation == "Identity":
        raise UnsupportedParameter(
            "this model's scores come from another server, as that one makes them; leave "
            "`raw_scores` out",
            param="raw_scores",
        )
    body: dict[str, Any] = {"model": model, "query": asked.query, "documents": asked.documents}
    if asked.document_tokens is not None:
        body["max_tokens_per_doc"] = asked.document_tokens
    return body | _truncation(asked.truncation)


def rerank_result(body: bytes, count: int) -> RerankResult:
    """A score for each of ``count`` documents, in their order. Raises `InternalError`."""
    answer = decode_answer(body, _Ranking)
    found = answer.results or answer.data or []
    scores = {each.index: each.relevance for each in found}
    if len(found) != count or sorted(scores) != list(range(count)):
        raise InternalError(f"the upstream ranked {len(scores)} of {count} documents")
    return RerankResult(
        scores=Blob(_finite(_floats([scores[at] for at in range(count)]))),
        count=count,
        usage=usage_of(answer.usage),
    )


# --- models --------------------------------------------------------------------------------------


class Listed(msgspec.Struct):
    """A model as the upstream lists it; the context's length goes by several names, and edge-serve
    says what the model can do."""

    id: str
    owned_by: Any = None  # often says which server it is
    max_model_len: int | None = None  # vLLM
    context_length: int | None = None
    capabilities: Any = None
    meta: Any = None  # llama.cpp

    def says(self, capability: str) -> bool | None:
        """Whether it has ``capability``; None where nothing is said of any."""
        said = self.capabilities
        return capability in said if isinstance(said, list) and said else None

    @property
    def context_tokens(self) -> int | None:
        of_slot = self.meta.get("n_ctx") if isinstance(self.meta, dict) else None
        known = self.max_model_len or self.context_length
        return of_slot if known is None and isinstance(of_slot, int) else known


class _Models(msgspec.Struct):
    data: list[Listed]


def listed(body: bytes) -> list[Listed]:
    """The models in an answer to GET /v1/models; none where it is something else."""
    try:
        return msgspec.json.decode(body, type=_Models).data
    except (ValueError, RecursionError):
        return []
