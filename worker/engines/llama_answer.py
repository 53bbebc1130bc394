"""One request to llama.cpp and what comes of it. No threads in here."""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.errors import InternalError, ServeError
from ipc.types import (
    ChatInput,
    ChatResult,
    Delta,
    Done,
    Event,
    Failed,
    Finish,
    Message,
    Spec,
    Usage,
)
from worker.engines.lengths import no_room, too_long
from worker.engines.upstream_errors import refusal_in_stream
from worker.engines.upstream_json import decode

# A template's own words around the messages and around each.
_TEMPLATE_TOKENS = 128
_TURN_TOKENS = 16
_SEEDS = 2**32 - 1  # the last one of 32 bits stands for none


class _Piece(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Piece = msgspec.field(default_factory=_Piece)
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details = msgspec.field(default_factory=_Details)


class _Timings(msgspec.Struct):
    predicted_n: int = 0


class _Progress(msgspec.Struct):
    total: int


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    timings: _Timings | None = None
    prompt_progress: _Progress | None = None
    error: Any = None


def request_body(asked: ChatInput, context_tokens: int, *, prefix_caching: bool) -> bytes:
    """The request as llama.cpp's server takes it, with nothing left to its own defaults.

    Its penalties look at the prompt's tokens too, not only at those of the answer.
    """
    sampling = asked.sampling
    body = {
        "messages": [{"role": turn.role, "content": turn.text} for turn in asked.messages],
        "max_tokens": sampling.max_tokens,
        "samplers": ["penalties", "temperature", "top_p"],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repeat_last_n": context_tokens,
        "stop": [text for text in sampling.stop if text],
        "cache_prompt": prefix_caching,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "timings_per_token": True,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed % _SEEDS
    return msgspec.json.encode(body)


class Answer:
    """A request from its submission to its end.

    ``tokens`` is what it may come to hold of the cache: at first an upper bound, since nobody has
    counted its prompt yet, then what is known. It ``is_over`` when there is nothing more to tell,
    be it that it has ended or that nobody waits for it any more.
    """

    def __init__(self, job_id: str, asked: ChatInput, spec: Spec, context_tokens: int) -> None:
        self.job_id = job_id
        self.is_over = False
        self._max_prompt_tokens = spec.max_prompt_tokens
        self._max_tokens = asked.sampling.max_tokens
        self._context_tokens = context_tokens
        self._finish: Finish = "stop"
        self._counted = 0
        self.tokens = self._hold(min(_most_tokens(asked.messages), spec.max_prompt_tokens))

    def feed(self, data: bytes) -> list[Event]:
        """What one piece of the stream means."""
        try:
            return self._read(decode(data, _Chunk))
        except ServeError as error:
            return self.fail(error)

    def fail(self, error: ServeError) -> list[Event]:
        """End it, unless it has."""
        if self.is_over:
            return []
        self.is_over = True
        return [Failed(job=self.job_id, error=error.info())]

    def _read(self, chunk: _Chunk) -> list[Event]:
        if self.is_over:
            return []
        if chunk.error is not None:
            raise _refusal(chunk.error)
        if chunk.prompt_progress is not None:
            self._on_counted(chunk.prompt_progress.total)
        if chunk.usage is not None:
            self.is_over = True
            return [Done(self.job_id, ChatResult(finish=self._finish, usage=_usage(chunk.usage)))]
        return self._on_choice(chunk)

    def _on_counted(self, prompt_tokens: int) -> None:
        if prompt_tokens > self._max_prompt_tokens:
            raise too_long(prompt_tokens, self._max_prompt_tokens)
        self.tokens = self._hold(prompt_tokens)

    def _on_choice(self, chunk: _Chunk) -> list[Event]:
        choice = chunk.choices[0] if chunk.choices else _Choice()
        if choice.finish_reason is not None:
            self._finish = "length" if choice.finish_reason == "length" else "stop"
        if not choice.delta.content:
            return []
        written = chunk.timings.predicted_n if chunk.timings else self._counted + 1
        tokens, self._counted = max(1, written - self._counted), written
        return [Delta(self.job_id, choice.delta.content, tokens)]

    def _hold(self, prompt_tokens: int) -> int:
        return min(prompt_tokens + self._max_tokens, self._context_tokens)


def _most_tokens(messages: list[Message]) -> int:
    """No tokenizer makes more tokens of a text than it has bytes."""
    texts = sum(len(turn.text.encode()) + _TURN_TOKENS for turn in messages)
    return texts + _TEMPLATE_TOKENS


def _refusal(said: Any) -> ServeError:
    """A refusal in our words where it is about the length: llama.cpp's advise its operator."""
    if isinstance(said, dict) and said.get("type") == "exceed_context_size_error":
        return no_room(said.get("n_prompt_tokens", 0), said.get("n_ctx", 0))
    if isinstance(said, dict) and said.get("code") == InternalError.status:
        return InternalError(f"llama.cpp failed: {said.get('message')}")
    return refusal_in_stream(said)


def _usage(found: _Usage) -> Usage:
    return Usage(
        prompt_tokens=found.prompt_tokens,
        completion_tokens=found.completion_tokens,
        cached_tokens=found.prompt_tokens_details.cached_tokens,
    )
