"""What clients get, described for ``/openapi.json``; answers are rendered without these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Every key is always there, and no other."""

    model_config = ConfigDict(extra="forbid")


class ErrorDetail(Answer):
    message: str
    type: str
    param: str | None
    code: str


class Error(Answer):
    error: ErrorDetail


# --- chat ---


class CachedTokens(Answer):
    cached_tokens: int


class ChatUsage(Answer):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class AssistantMessage(Answer):
    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(Answer):
    index: int
    message: AssistantMessage
    logprobs: None
    finish_reason: Literal["stop", "length", "content_filter"]


class ChatCompletion(Answer):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: ChatUsage


# --- embeddings and reranking ---


class PromptUsage(Answer):
    prompt_tokens: int
    total_tokens: int


class Embedding(Answer):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingList(Answer):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: PromptUsage


class PlainEmbedding(Answer):
    index: int
    embedding: list[list[float]]


class RankedText(Answer):
    text: str


class Ranked(BaseModel):
    """``document`` is there where ``return_documents`` asked for it."""

    index: int
    relevance_score: float
    document: RankedText | None = None


class BilledUnits(Answer):
    search_units: int


class RankingMeta(Answer):
    """Cohere's clients look here for what others find in ``usage``."""

    billed_units: BilledUnits


class Ranking(Answer):
    id: str
    model: str
    results: list[Ranked]
    usage: PromptUsage
    meta: RankingMeta


class RankedByTei(BaseModel):
    """``text`` is there where ``return_text`` asked for it."""

    index: int
    score: float
    text: str | None = None


# --- audio ---


class DurationUsage(Answer):
    type: Literal["duration"]
    seconds: float


class Transcript(Answer):
    text: str
    usage: DurationUsage


class TranscriptWord(Answer):
    word: str
    start: float
    end: float


class TranscriptSegment(Answer):
    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class VerboseTranscript(BaseModel):
    """``words`` and ``segments`` are there as ``timestamp_granularities`` asked for them."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    words: list[TranscriptWord] | None = None
    segments: list[TranscriptSegment] | None = None
    usage: DurationUsage


# --- models and health ---


class ModelEntry(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    alias_of: str | None
    capabilities: list[str]
    state: str
    dimensions: int | None
    context_length: int | None
    max_prompt_tokens: int | None
    max_new_tokens: int | None
    languages: list[str] | None


class ModelList(Answer):
    object: Literal["list"]
    data: list[ModelEntry]


class Life(Answer):
    status: Literal["ok"]


class Readiness(Answer):
    status: Literal["ready", "not_ready"]
    supervisor: str
    draining: bool
    not_ready: dict[str, str]


class HealthReport(BaseModel):
    """What is measured of each process; it grows with what is worth knowing."""

    status: Literal["ok", "degraded", "unavailable"]
    draining: bool
    models: list[dict[str, Any]]
