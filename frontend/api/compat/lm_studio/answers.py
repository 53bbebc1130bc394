"""The answers of LM Studio's API, described for ``/openapi.json``; rendered without these."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from frontend.api.answer import Answer


class LmStudioOlderModel(BaseModel):
    """``compatibility_type`` is mlx for whatever is no GGUF file: its clients know these two. A
    context is null as long as the model has not been loaded."""

    id: str
    object: Literal["model"]
    type: Literal["llm", "vlm", "embeddings"]
    publisher: str
    arch: str | None
    compatibility_type: Literal["gguf", "mlx"]
    quantization: str | None
    state: Literal["loaded", "loading", "not-loaded"]
    max_context_length: int | None
    loaded_context_length: int | None = None
    capabilities: list[str]


class LmStudioOlderModels(Answer):
    object: Literal["list"]
    data: list[LmStudioOlderModel]


class LmStudioConfig(Answer):
    context_length: int | None


class LmStudioInstance(Answer):
    id: str
    config: LmStudioConfig


class LmStudioQuantization(Answer):
    name: str
    bits_per_weight: float | None


class LmStudioSkills(Answer):
    vision: bool
    trained_for_tool_use: bool


class LmStudioModel(BaseModel):
    """The last three are there for chat models."""

    type: Literal["llm", "embedding"]
    publisher: str
    key: str
    display_name: str
    quantization: LmStudioQuantization | None
    size_bytes: int
    params_string: str | None
    loaded_instances: list[LmStudioInstance]
    max_context_length: int | None
    format: Literal["gguf"] | None
    architecture: str | None = None
    capabilities: LmStudioSkills | None = None
    description: str | None = None


class LmStudioModels(Answer):
    models: list[LmStudioModel]


class LmStudioLoaded(BaseModel):
    type: Literal["llm", "embedding"]
    instance_id: str
    load_time_seconds: float
    status: Literal["loaded"]
    load_config: LmStudioConfig | None = None


class LmStudioUnloaded(Answer):
    instance_id: str


class LmStudioJob(BaseModel):
    """Only ``status`` where the model is here already; times are as ISO 8601 has them."""

    job_id: str | None = None
    status: Literal["downloading", "paused", "completed", "failed", "already_downloaded"]
    total_size_bytes: int | None = None
    downloaded_bytes: int | None = None
    started_at: str | None = None
    bytes_per_second: float | None = None
    estimated_completion: str | None = None
    completed_at: str | None = None


class LmStudioJobs(Answer):
    downloading: list[LmStudioJob]
    completed: list[LmStudioJob]
    failed: list[LmStudioJob]
    paused: list[LmStudioJob]
