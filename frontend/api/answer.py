"""What faces share of their answers, described for ``/openapi.json``; rendered without these."""

from __future__ import annotations

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


class PromptUsage(Answer):
    prompt_tokens: int
    total_tokens: int
