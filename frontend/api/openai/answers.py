"""The answers of OpenAI's API, described for ``/openapi.json``; they are rendered without these."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from frontend.api.answer import Answer, PromptUsage
from frontend.api.openai.load_status import LoadStatus

# --- chat ---


class CachedTokens(Answer):
    cached_tokens: int


class ReasoningTokens(Answer):
    reasoning_tokens: int


class ChatUsage(BaseModel):
    """``completion_tokens_details`` are there for models that think, ``prompt_tokens_details``
    where the engine is told how much of a prompt it did not have to read."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens | None = None
    completion_tokens_details: ReasoningTokens | None = None


class CalledFunction(Answer):
    name: str
    arguments: str


class MadeCall(Answer):
    id: str
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(BaseModel):
    """What it thought, by both names, and its calls are there where there are any."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[MadeCall] | None = None


class LikelyToken(Answer):
    token: str
    logprob: float
    bytes: list[int]


class TokenLikelihood(LikelyToken):
    top_logprobs: list[LikelyToken]


class ChoiceLogprobs(Answer):
    content: list[TokenLikelihood]
    refusal: None


class ChatChoice(Answer):
    index: int
    message: AssistantMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"]


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


class VoiceEntry(Answer):
    """``aliases`` are other names that it is asked for by."""

    id: str
    name: str
    model: str
    language: str | None
    aliases: list[str]


class VoiceList(Answer):
    """``unloaded`` are models that speak, but have told no voices yet: they do once loaded."""

    voices: list[VoiceEntry]
    unloaded: list[str]


# --- models ---


class ModelEntry(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    alias_of: str | None
    capabilities: list[str]
    state: str
    status: LoadStatus
    dimensions: int | None
    context_length: int | None
    max_prompt_tokens: int | None
    max_new_tokens: int | None
    languages: list[str] | None
    voices: list[str] | None


class ModelList(Answer):
    object: Literal["list"]
    data: list[ModelEntry]
