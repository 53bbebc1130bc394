"""The answers of Anthropic's API, described for ``/openapi.json``; they are rendered without
these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from frontend.api.answer import Answer


class WrittenText(Answer):
    type: Literal["text"]
    text: str


class WrittenThinking(Answer):
    """Nobody has signed it."""

    type: Literal["thinking"]
    thinking: str
    signature: Literal[""]


class WrittenToolUse(Answer):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class ThinkingTokens(Answer):
    thinking_tokens: int


class MessageUsage(BaseModel):
    """``output_tokens_details`` are there where the model has thought."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: ThinkingTokens | None = None


class WrittenMessage(Answer):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[WrittenText | WrittenThinking | WrittenToolUse]
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]
    stop_sequence: str | None
    usage: MessageUsage


class CountedTokens(Answer):
    input_tokens: int
