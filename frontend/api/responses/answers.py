"""Responses and their items, described for ``/openapi.json``; they are rendered without these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from frontend.api.answer import Answer
from frontend.api.openai.answers import ReasoningTokens, TokenLikelihood

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(Answer):
    type: Literal["output_text"]
    text: str
    annotations: list[None]
    logprobs: list[TokenLikelihood]


class OutputMessage(Answer):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: ItemStatus
    content: list[OutputText]


class ReasoningText(Answer):
    type: Literal["reasoning_text"]
    text: str


class SummaryText(Answer):
    type: Literal["summary_text"]
    text: str


class OutputReasoning(Answer):
    id: str
    type: Literal["reasoning"]
    status: ItemStatus
    summary: list[SummaryText]
    content: list[ReasoningText]
    encrypted_content: None


class OutputCall(Answer):
    id: str
    type: Literal["function_call"]
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


class OutputCustomCall(Answer):
    id: str
    type: Literal["custom_tool_call"]
    status: ItemStatus
    call_id: str
    name: str
    input: str


class InputDetails(Answer):
    cached_tokens: int
    cache_write_tokens: int


class ResponseUsage(Answer):
    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: ReasoningTokens
    total_tokens: int


class IncompleteDetails(Answer):
    reason: Literal["max_output_tokens", "content_filter"]


class ReasoningTold(Answer):
    effort: str | None
    summary: str | None


class TextTold(Answer):
    format: dict[str, Any]


class ResponseObject(Answer):
    """One that has failed is told in a stream only."""

    id: str
    object: Literal["response"]
    created_at: int
    model: str
    status: Literal["completed", "incomplete"]
    background: Literal[False]
    error: None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    output: list[OutputMessage | OutputReasoning | OutputCall | OutputCustomCall]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: ReasoningTold
    store: bool
    temperature: float
    text: TextTold
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    truncation: Literal["disabled"]
    usage: ResponseUsage


class CountedInput(Answer):
    object: Literal["response.input_tokens"]
    input_tokens: int


class ResponseDeleted(Answer):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class ListedItem(BaseModel):
    """An item as it was sent, or as it was told."""

    model_config = ConfigDict(extra="allow")

    id: str
    type: str


class ItemList(Answer):
    object: Literal["list"]
    data: list[ListedItem]
    first_id: str | None
    last_id: str | None
    has_more: bool
