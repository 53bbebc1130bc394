"""The answers of Ollama's API, described for ``/openapi.json``; rendered without these.

Where an answer is a stream each of its lines is such an object.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from frontend.api.answer import Answer
from frontend.api.openai.answers import TokenLikelihood


class OllamaCalledFunction(Answer):
    index: int
    name: str
    arguments: dict[str, Any]


class OllamaCall(Answer):
    id: str
    function: OllamaCalledFunction


class OllamaMessage(BaseModel):
    """What it thought and its calls are there where there are any."""

    role: str
    content: str
    thinking: str | None = None
    tool_calls: list[OllamaCall] | None = None


class _OllamaAnswer(BaseModel):
    """The counts, and the durations in nanoseconds, are those of the last object."""

    model: str
    created_at: str
    done: bool
    done_reason: str | None = None
    logprobs: list[TokenLikelihood] | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class OllamaChatAnswer(_OllamaAnswer):
    message: OllamaMessage


class OllamaGenerateAnswer(_OllamaAnswer):
    response: str
    thinking: str | None = None


class OllamaEmbedAnswer(BaseModel):
    model: str
    embeddings: list[list[float]]
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None


class OllamaEmbeddingAnswer(Answer):
    embedding: list[float]


class OllamaDetails(Answer):
    """What the model's files say; a text is empty where they do not."""

    parent_model: str
    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaListed(Answer):
    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: OllamaDetails
    capabilities: list[str]


class OllamaList(Answer):
    models: list[OllamaListed]


class OllamaRunning(Answer):
    name: str
    model: str
    size: int
    digest: str
    details: OllamaDetails
    expires_at: str
    size_vram: int
    context_length: int


class OllamaProcesses(Answer):
    models: list[OllamaRunning]


class OllamaShown(Answer):
    parameters: str
    details: OllamaDetails
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class OllamaVersion(Answer):
    version: str


class OllamaStatus(Answer):
    status: str


class OllamaProgress(OllamaStatus):
    """A line of a pull. Where files are fetched, ``digest`` tells their bar from others."""

    digest: str = ""
    total: int = 0
    completed: int = 0
