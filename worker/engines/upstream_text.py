"""Text asked of an OpenAI-compatible server, and what its answers mean. No sockets in here.

Servers differ in what they leave out, so a field that can be missed is optional. What is there must
fit: an answer that does not is an error, never half a result.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Any

import msgspec

from ipc.errors import InternalError, WorkerCrashed
from ipc.types import (
    Blob,
    ChatInput,
    ChatResult,
    EmbedInput,
    EmbedResult,
    Finish,
    Image,
    Message,
    RerankInput,
    RerankResult,
    Usage,
)
from worker.engines.upstream_errors import decode, not_understood, refusal_in_stream

_FLOAT_BYTES = 4
_DONE = "[DONE]"


# --- chat ----------------------------------------------------------------------------------------


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None

    def usage(self) -> Usage:
        details = self.prompt_tokens_details or _Details()
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_tokens=details.cached_tokens or 0,
        )


class _Piece(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Piece | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


def chat_body(asked: ChatInput, model: str) -> dict[str, Any]:
    """The request; what has its neutral value is left out, for servers that do not know it."""
    sampling = asked.sampling
    optional = {
        "stop": sampling.stop,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    body = {
        "model": model,
        "messages": [{"role": turn.role, "content": _content(turn)} for turn in asked.messages],
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in optional.items() if value},
    }
    return body if sampling.seed is None else {**body, "seed": sampling.seed}


def _content(turn: Message) -> str | list[dict[str, Any]]:
    if isinstance(turn.content, str):
        return turn.content
    return [
        {"type": "image_url", "image_url": {"url": _data_url(part.file.data)}}
        if isinstance(part, Image)
        else {"type": "text", "text": part.text}
        for part in turn.content
    ]


_IMAGES = {b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp"}


def _data_url(image: bytes) -> str:
    kind = _IMAGES.get(image[:4], "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


class ChatAnswer:
    """A streamed answer, event by event. ``ended``: the upstream has said all."""

    def __init__(self) -> None:
        self.ended = False
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._pieces = 0

    def feed(self, data: str) -> str:
        """The text that one event brings, often none. Raises the `ServeError` in it."""
        if data.strip() == _DONE:
            self.ended = True
            return ""
        chunk = decode(data, _Chunk)
        if chunk.error is not None:
            raise refusal_in_stream(chunk.error)
        if chunk.usage is not None:
            self._usage = chunk.usage.usage()
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        if choice.finish_reason is not None:
            self._finish = "length" if choice.finish_reason == "length" else "stop"
        text = (choice.delta and choice.delta.content) or ""
        self._pieces += bool(text)
        return text

    def result(self) -> ChatResult:
        """The end. Raises `WorkerCrashed` where the stream stopped without one.

        A server that sends no usage leaves the prompt uncounted; each piece of text is then taken
        for a token.
        """
        if self._finish is None and not self.ended:
            raise WorkerCrashed("the upstream stopped in the middle of its answer", retry_after_s=1)
        usage = self._usage or Usage(completion_tokens=self._pieces)
        return ChatResult(finish=self._finish or "stop", usage=usage)


# --- embeddings ----------------------------------------------------------------------------------


class _Row(msgspec.Struct):
    embedding: str | list[float]
    index: int = 0


class _Rows(msgspec.Struct):
    data: list[_Row]
    usage: _Usage | None = None


def embed_body(asked: EmbedInput, model: str) -> dict[str, Any]:
    body = {"model": model, "input": asked.texts, "encoding_format": "base64"}
    return body if asked.dimensions is None else {**body, "dimensions": asked.dimensions}


def embed_result(body: bytes, count: int) -> EmbedResult:
    """``count`` vectors, sent as base64 of float32 or as numbers. Raises `InternalError`."""
    answer = decode(body, _Rows)
    rows = [_floats(row.embedding) for row in sorted(answer.data, key=lambda row: row.index)]
    sizes = {len(row) for row in rows}
    if len(rows) != count or len(sizes) != 1 or not (size := sizes.pop()) or size % _FLOAT_BYTES:
        raise InternalError(f"the upstream sent {len(rows)} usable vectors for {count} texts")
    return EmbedResult(
        vectors=Blob(b"".join(rows)),
        count=count,
        dimensions=size // _FLOAT_BYTES,
        usage=answer.usage.usage() if answer.usage else Usage(),
    )


def _floats(vector: str | list[float]) -> bytes:
    """A vector as little-endian float32."""
    try:
        if isinstance(vector, str):
            return base64.b64decode(vector, validate=True)
        return struct.pack(f"<{len(vector)}f", *vector)
    except (binascii.Error, ValueError, OverflowError, struct.error):
        not_understood()


# --- rerank --------------------------------------------------------------------------------------


class _Ranked(msgspec.Struct):
    index: int
    relevance_score: float


class _Ranking(msgspec.Struct):
    results: list[_Ranked]
    usage: _Usage | None = None


def rerank_body(asked: RerankInput, model: str) -> dict[str, Any]:
    return {"model": model, "query": asked.query, "documents": asked.documents}


def rerank_result(body: bytes, count: int) -> RerankResult:
    """A score for each of ``count`` documents, in their order. Raises `InternalError`."""
    answer = decode(body, _Ranking)
    scores = {each.index: each.relevance_score for each in answer.results}
    if sorted(scores) != list(range(count)):
        raise InternalError(f"the upstream ranked {len(scores)} of {count} documents")
    return RerankResult(
        scores=Blob(struct.pack(f"<{count}f", *(scores[at] for at in range(count)))),
        count=count,
        usage=answer.usage.usage() if answer.usage else Usage(),
    )


# --- models --------------------------------------------------------------------------------------


class Listed(msgspec.Struct):
    """A model as the upstream lists it; the context's length goes by two names."""

    id: str
    max_model_len: int | None = None  # vLLM
    context_length: int | None = None

    @property
    def context_tokens(self) -> int | None:
        return self.max_model_len or self.context_length


class _Models(msgspec.Struct):
    data: list[Listed]


def listed(body: bytes) -> list[Listed]:
    """The models in an answer to GET /v1/models; none where it is something else."""
    try:
        return msgspec.json.decode(body, type=_Models).data
    except msgspec.DecodeError:
        return []
