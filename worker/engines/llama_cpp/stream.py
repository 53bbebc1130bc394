"""What the pieces of an answer's stream mean. No threads in here."""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.messages.errors import InternalError, InvalidRequest, ServeError
from ipc.messages.events import Finish, TokenLogprob
from worker.chat.token_engine import TokenRequest, Written
from worker.engines.common.server_errors import refusal_in_stream
from worker.engines.common.server_json import decode

_BAD_GRAMMAR = "failed to parse grammar"


class _Likely(msgspec.Struct):
    id: int
    bytes: list[int]
    logprob: float


class _Chosen(_Likely):
    top_logprobs: list[_Likely] = []


class _Logprobs(msgspec.Struct):
    content: list[_Chosen] = []


class _Choice(msgspec.Struct):
    text: str = ""
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Details(msgspec.Struct):
    cached_tokens: int = 0


class _Usage(msgspec.Struct):
    completion_tokens: int
    prompt_tokens_details: _Details = msgspec.field(default_factory=_Details)


class _Timings(msgspec.Struct):
    predicted_n: int = 0
    draft_n: int = 0
    draft_n_accepted: int = 0


class _NativeTimings(msgspec.Struct):
    cache_n: int = 0


class _Progress(msgspec.Struct):
    """Tokens of the prompt that were cached, and that have been read, those included."""

    cache: int = 0
    processed: int = 0


class _Verbose(msgspec.Struct):
    tokens: list[int] = []


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    timings: _Timings | None = None
    prompt_progress: _Progress | None = None
    verbose: _Verbose | None = msgspec.field(name="__verbose", default=None)
    error: Any = None


class _NativeChunk(msgspec.Struct):
    """A piece as the server's own route has it, in place of OpenAI's form."""

    content: str = ""
    tokens: list[int] = []
    stop: bool = False
    stop_type: str = ""
    tokens_predicted: int = 0
    completion_probabilities: list[_Chosen] = []
    timings: _NativeTimings | None = None
    prompt_progress: _Progress | None = None
    error: Any = None

    def in_openai_form(self) -> _Chunk:
        finish = "length" if self.stop_type == "limit" else "stop"
        cached = 0 if self.timings is None else self.timings.cache_n
        ended = _Usage(self.tokens_predicted, _Details(cached)) if self.stop else None
        choice = _Choice(
            self.content,
            finish if self.stop else None,
            _Logprobs(self.completion_probabilities),
        )
        return _Chunk(
            choices=[choice],
            usage=ended,
            timings=_Timings(self.tokens_predicted),
            prompt_progress=self.prompt_progress,
            verbose=_Verbose(self.tokens),
            error=self.error,
        )


class AnswerStream:
    """The answer to ``request``, piece by piece, which are in OpenAI's form unless ``is_native``.

    A piece has the tokens that end with a whole character, and where there are several tells the
    log probability of the last alone.
    """

    def __init__(self, request: TokenRequest, *, is_native: bool = False) -> None:
        self._is_native = is_native
        sampling = request.sampling
        self._id = request.id
        self._ends = frozenset(sampling.stop_token_ids)
        self._top = sampling.logprobs
        self._finish: Finish = "stop"
        self._tokens = 0
        self._held: list[TokenLogprob] = []  # of tokens without text

    def read(self, data: bytes) -> Written:
        """What one piece means."""
        try:
            if self._is_native:
                return self._read(decode(data, _NativeChunk).in_openai_form())
            return self._read(decode(data, _Chunk))
        except ServeError as error:
            return Written(self._id, error=error)

    def broken(self, error: Exception | None) -> Written:
        """What it means that the stream has ended before the answer, by ``error`` if there is
        one."""
        said = "stopped in the middle of its answer"
        if error is not None:
            said = f"failed: {' '.join(str(error).split())}"
        return Written(self._id, error=InternalError(f"llama.cpp {said}"))

    def _read(self, chunk: _Chunk) -> Written:
        if chunk.error is not None:
            raise _refusal(chunk.error)
        if (progress := chunk.prompt_progress) is not None:
            return Written(self._id, cached_tokens=progress.cache, read_tokens=progress.processed)
        choice = chunk.choices[0] if chunk.choices else _Choice()
        if choice.finish_reason is not None:
            self._finish = "length" if choice.finish_reason == "length" else "stop"
        tokens = self._count(chunk)
        # Told with the end for all of the answer.
        looked = chunk.timings if chunk.usage and chunk.timings else _Timings()
        if tokens and chunk.verbose and not self._ends.isdisjoint(chunk.verbose.tokens):
            return Written(self._id, text="", text_tokens=tokens, finish="stop")
        return Written(
            self._id,
            tokens=tuple(chunk.verbose.tokens[-1:]) if tokens and chunk.verbose else (),
            finish=None if chunk.usage is None else self._finish,
            text=choice.text,
            text_tokens=tokens,
            logprobs=self._logprobs(choice),
            cached_tokens=_cached(chunk),
            guessed=looked.draft_n,
            accepted=looked.draft_n_accepted,
        )

    def _count(self, chunk: _Chunk) -> int:
        """How many tokens there are since the last piece."""
        total = self._tokens
        if chunk.usage is not None:
            total = chunk.usage.completion_tokens
        elif chunk.timings is not None:
            total = chunk.timings.predicted_n
        new, self._tokens = total - self._tokens, total
        return new

    def _logprobs(self, choice: _Choice) -> list[TokenLogprob] | None:
        """Those of the tokens whose text there is; the model's end has none."""
        if self._top is None:
            return None
        if choice.logprobs is not None:
            self._held += [self._logprob(chosen) for chosen in choice.logprobs.content]
        if not choice.text:
            return []
        known, self._held = self._held, []
        return known

    def _logprob(self, chosen: _Chosen) -> TokenLogprob:
        top = [_likely(one) for one in chosen.top_logprobs[: self._top]]
        return TokenLogprob(chosen.id, bytes(chosen.bytes), chosen.logprob, top)


def _likely(one: _Likely) -> TokenLogprob:
    return TokenLogprob(one.id, bytes(one.bytes), one.logprob)


def _cached(chunk: _Chunk) -> int | None:
    return None if chunk.usage is None else chunk.usage.prompt_tokens_details.cached_tokens


def _refusal(said: Any) -> ServeError:
    message = said.get("message") if isinstance(said, dict) else None
    if isinstance(message, str) and _BAD_GRAMMAR in message:
        return InvalidRequest(
            "llama.cpp cannot keep to the form that was asked for; make its schema or grammar "
            "smaller",
            param="response_format",
        )
    if isinstance(said, dict) and said.get("code") == InternalError.status:
        return InternalError(f"llama.cpp failed: {message}")
    return refusal_in_stream(said)
