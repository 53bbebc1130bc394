"""One request to llama.cpp and what comes of it. No threads in here."""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.engines import ENGINES
from ipc.messages.errors import InternalError, ServeError, UnsupportedParameter
from ipc.messages.events import ChatResult, Done, Event, Failed, Finish
from ipc.messages.jobs import ChatInput, Sampling
from ipc.messages.spec import Spec
from worker.chat.generation import Generation
from worker.chat.prompt import Part, Prompts
from worker.chat.prompt_limits import no_room, room_for_answer
from worker.engines.common.server_errors import refusal_in_stream
from worker.engines.common.server_json import decode

LLAMA_CPP = ENGINES["llama.cpp"]
_SEEDS = 2**32 - 1  # the last one of 32 bits stands for none


class _Choice(msgspec.Struct):
    text: str = ""
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
    cache: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    timings: _Timings | None = None
    prompt_progress: _Progress | None = None
    error: Any = None


def request_body(
    sampling: Sampling, prompt: list[Part], context_tokens: int, *, prefix_caching: bool
) -> bytes:
    """The request as llama.cpp's server takes it, with nothing left to its own defaults.

    Its penalties look at the prompt's tokens too, not only at those of the answer. Raises
    `UnsupportedParameter`.
    """
    _check(sampling)
    body = {
        # A text alone is one prompt, and would be one of several in a list.
        "prompt": prompt[0] if len(prompt) == 1 and isinstance(prompt[0], str) else prompt,
        "max_tokens": sampling.max_tokens,
        "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repeat_penalty": sampling.repetition_penalty,
        "repeat_last_n": context_tokens,
        "ignore_eos": sampling.ignore_eos,
        "cache_prompt": prefix_caching,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "timings_per_token": True,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed % _SEEDS
    return msgspec.json.encode(body)


def _check(sampling: Sampling) -> None:
    assert LLAMA_CPP.chat is not None
    for name in LLAMA_CPP.chat.lacks:
        if getattr(sampling, name):
            raise UnsupportedParameter(f"engine llama.cpp has no {name}; leave it out", param=name)


def most_tokens(prompt: list[Part]) -> int:
    """No tokenizer makes more tokens of a text than it has bytes, and a space before it."""
    return sum(1 if isinstance(part, int) else len(part.encode()) + 1 for part in prompt)


class Answer:
    """A request from its submission to its end.

    ``tokens`` is what it may come to hold of the cache: at first an upper bound, since nobody has
    counted its prompt yet, then what is known. It ``is_over`` when there is nothing more to tell,
    be it that it has ended or that nobody waits for it any more.
    """

    def __init__(
        self,
        job_id: str,
        asked: ChatInput,
        prompt: list[Part],
        spec: Spec,
        *,
        context_tokens: int,
        prompts: Prompts,
    ) -> None:
        sampling = asked.sampling
        self.job_id = job_id
        self.is_over = False
        self._max_prompt_tokens = spec.max_prompt_tokens
        self._max_tokens = sampling.max_tokens
        self._context_tokens = context_tokens
        self._finish: Finish = "stop"
        self._generation = Generation(
            job_id,
            sampling,
            prompt_tokens=0,
            limit=min(sampling.max_tokens, context_tokens),
            vocabulary=prompts.vocabulary,
            parser=prompts.dialect.parser(asked, ""),
        )
        self.tokens = self._hold(min(most_tokens(prompt), spec.max_prompt_tokens))

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
            self._on_counted(chunk.prompt_progress)
        choice = chunk.choices[0] if chunk.choices else _Choice()
        if choice.finish_reason is not None:
            self._finish = "length" if choice.finish_reason == "length" else "stop"
        events = self._on_text(choice.text, chunk.timings)
        if chunk.usage is not None and not self._generation.ended:
            events += self._on_end(chunk.usage)
        self.is_over = self._generation.ended
        return events

    def _on_counted(self, progress: _Progress) -> None:
        room_for_answer(progress.total, self._max_prompt_tokens, self._context_tokens)
        self.tokens = self._hold(progress.total)
        self._generation.prompt_tokens = progress.total
        self._generation.cached_tokens = progress.cache

    def _on_text(self, text: str, timings: _Timings | None) -> list[Event]:
        if not text:
            return []
        written = self._generation.written
        tokens = timings.predicted_n - written if timings else 1
        events: list[Event] = [*self._generation.push_text(text, max(1, tokens))]
        return [*events, self._done()] if self._generation.ended else events

    def _on_end(self, usage: _Usage) -> list[Event]:
        self._generation.prompt_tokens = usage.prompt_tokens
        self._generation.cached_tokens = usage.prompt_tokens_details.cached_tokens
        self._generation.written = usage.completion_tokens
        return [*self._generation.end(self._finish), self._done()]

    def _done(self) -> Done:
        generation = self._generation
        return Done(self.job_id, ChatResult(finish=generation.finish, usage=generation.usage))

    def _hold(self, prompt_tokens: int) -> int:
        return min(prompt_tokens + self._max_tokens, self._context_tokens)


def _refusal(said: Any) -> ServeError:
    """A refusal in our words where it is about the length: llama.cpp's advise its operator."""
    if isinstance(said, dict) and said.get("type") == "exceed_context_size_error":
        return no_room(said.get("n_prompt_tokens", 0), said.get("n_ctx", 0))
    if isinstance(said, dict) and said.get("code") == InternalError.status:
        return InternalError(f"llama.cpp failed: {said.get('message')}")
    return refusal_in_stream(said)
