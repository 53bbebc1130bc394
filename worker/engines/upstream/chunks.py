"""What OpenAI-compatible servers send of an answer, as far as it is read. No sockets in here.

Every field can be missing, and what servers differ in is of any type: who uses it looks at it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.messages.errors import InternalError
from worker.engines.common.server_errors import refusal_in_stream
from worker.engines.common.server_json import decode


class Part(msgspec.Struct):
    type: str = "text"
    text: str | None = None
    thinking: Any = None  # Mistral's: parts of text again


class CalledFunction(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class CallPart(msgspec.Struct):
    """A call, or a piece of one; ``index`` says of which."""

    index: int | None = None
    id: str | None = None
    function: CalledFunction | None = None


class Turn(msgspec.Struct):
    """What an assistant says, in pieces or whole."""

    content: str | list[Part | str] | None = None
    refusal: str | None = None
    reasoning: Any = None
    reasoning_content: Any = None
    tool_calls: list[CallPart] | None = None
    function_call: CalledFunction | None = None

    @property
    def calls(self) -> list[CallPart]:
        """Its calls, those in the form that came before `tool_calls` too."""
        if self.tool_calls or self.function_call is None:
            return self.tool_calls or []
        return [CallPart(index=0, function=self.function_call)]


class Choice(msgspec.Struct):
    index: int | None = None
    delta: Turn | None = None
    message: Turn | None = None
    text: str | None = None
    finish_reason: Any = None
    logprobs: Any = None
    stop_reason: Any = None  # vLLM: which stop text it was, or the id of a token
    matched_stop: Any = None  # SGLang: the same
    token_ids: list[int] | None = None  # edge-serve: of all that has been said since the last ones


class Chunk(msgspec.Struct):
    object: Any = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    message: Any = None
    detail: Any = None
    # llama.cpp's own form, in which /infill answers.
    index: int | None = None
    content: str | None = None
    stop: bool | None = None
    stop_type: str | None = None
    stopping_word: Any = None
    completion_probabilities: Any = None
    tokens_predicted: Any = None
    tokens_evaluated: Any = None

    def __post_init__(self) -> None:
        if self.choices is None and self.stop is not None:
            self.choices = [self._native_choice()]
            counts = {
                "prompt_tokens": self.tokens_evaluated,
                "completion_tokens": self.tokens_predicted,
            }
            self.usage = counts if self.stop else None

    def _native_choice(self) -> Choice:
        return Choice(
            index=self.index,
            text=self.content,
            finish_reason=(self.stop_type or "eos") if self.stop else None,
            stop_reason=self.stopping_word,
            logprobs={"content": self.completion_probabilities},
        )

    @property
    def failure(self) -> Any:
        """What went wrong, as servers say it in a stream; None where nothing did."""
        if self.error:
            return self.error
        words = self.message or self.detail
        if self.choices is None and words and (self.object == "error" or not self.usage):
            return {"message": words}
        return None


def chunk_of(event: str, data: bytes) -> Chunk:
    """Raises the `ServeError` that an event of this name stands for."""
    if event == "error":
        raise refusal_in_stream(_said(data))
    chunk = decode(data, Chunk)
    if chunk.failure is not None:
        raise refusal_in_stream(chunk.failure)
    return chunk


def _said(data: bytes) -> Any:
    """What an event of an error says, whose form nobody has fixed."""
    try:
        said = decode(data, Any)
    except InternalError:
        return data.decode(errors="replace")
    return said.get("error") or said if isinstance(said, dict) else said
