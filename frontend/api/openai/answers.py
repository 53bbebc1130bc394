"""The answers of OpenAI's API, described for ``/openapi.json``; they are rendered without these."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from frontend.api.answer import Answer, PromptUsage

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


# --- embeddings ---


class Embedding(Answer):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingList(Answer):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: PromptUsage


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


# --- models ---


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
