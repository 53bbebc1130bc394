"""POST /infill as in llama.cpp's server, for its plugins llama.vscode and llama.vim.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
import orjson
from pydantic import BaseModel, Field

from frontend.api.completions.keys import keys_for_texts
from frontend.api.fields import WHOLE, Name, Text
from frontend.api.known_keys import done, harmless, refused_keys
from frontend.api.openai.sampling_request import Limit, SamplingRequest
from frontend.api.validate import Body
from frontend.api.whole_answer import WholeAnswer
from frontend.http.sse import SseForm, event
from ipc.messages.events import ChatResult, Delta, Done, Piece
from ipc.messages.jobs import ChatInput, Fill
from ipc.messages.spec import Spec

MAX_FILES = 256
MAX_FIELDS = 64
_MS = 1000

KEYS = keys_for_texts(
    done("model", "may be left out where one model fills gaps, or one is for chats"),
    done("input_prefix input_suffix", "required; what stands before the gap and after it"),
    done("prompt", "what of the gap is there already: it comes after `input_prefix`"),
    done("input_extra", "up to 256 other files, each with `filename` and `text`"),
    done("n_predict", "0: the prompt is read, and the answer empty; plugins do that ahead"),
    done("n n_cmpl", "1"),
    done("response_fields", "which fields of the answer are sent, one in another as `timings/x`"),
    harmless(
        "samplers n_indent t_max_prompt_ms t_max_predict_ms lora",
        "hints of the plugins for speed and trimming, which they send with every request",
    ),
)


class Extra(Body):
    """A file, or a piece of one."""

    filename: Text | None = None
    text: Text


One = Annotated[int, Field(ge=1, le=1), WHOLE]


class InfillRequest(SamplingRequest):
    REFUSED = refused_keys(KEYS)
    EXAMPLE = {"input_prefix": "def add(a, b):\n    return ", "input_suffix": "\n"}

    model: Name | None = None
    input_prefix: Text
    input_suffix: Text
    prompt: Text | None = None
    input_extra: Annotated[list[Extra], Field(max_length=MAX_FILES)] | None = None
    n_predict: Limit | None = None
    n: One | None = None
    n_cmpl: One | None = None
    response_fields: Annotated[list[Text], Field(max_length=MAX_FIELDS)] | None = None

    @property
    def limits(self) -> tuple[int | None, ...]:
        return self.n_predict, self.max_tokens

    @property
    def only_reads(self) -> bool:
        """Whether no answer is wanted."""
        return self.n_predict == 0

    def to_input(self, spec: Spec) -> ChatInput:
        """The job for ``spec``. Raises `InvalidRequest`."""
        sampling = self.to_sampling(spec)
        if self.only_reads:
            sampling = msgspec.structs.replace(sampling, max_tokens=1, min_tokens=0)
        gap = Fill(
            prefix=self.input_prefix + (self.prompt or ""),
            suffix=self.input_suffix,
            files=[(extra.filename or "", extra.text) for extra in self.input_extra or ()],
        )
        return ChatInput(prompts=[gap], sampling=sampling)


class Infilled(BaseModel):
    """The answer, described for ``/openapi.json``. It is rendered without this; with
    ``response_fields`` only those are there."""

    content: str | None = None
    stop: bool | None = None


class Infill:
    """An answer in llama.cpp's form. Times are as they pass here, waiting included."""

    def __init__(self, model: str, asked: InfillRequest) -> None:
        self._model = model
        self._asked = asked
        self._began_at = time.monotonic()

    def whole(self, answer: WholeAnswer, result: ChatResult) -> bytes:
        (choice, _), *_others = answer.choices(result)
        content = "" if self._asked.only_reads else "".join(choice.texts)
        first_at = self._began_at if answer.first_at is None else answer.first_at
        told = self._end(result, first_at) | {"content": content}
        return orjson.dumps(_selected(told, self._asked.response_fields))

    def streamed(self) -> SseForm:
        """A stream whose last event has the counts; there is no marker."""
        first_at = self._began_at

        def render(events: list[Piece | Done]) -> bytes:
            nonlocal first_at
            if first_at == self._began_at:
                first_at = time.monotonic()
            return b"".join(map(one, events))

        def one(item: Piece | Done) -> bytes:
            if isinstance(item, Done):
                assert isinstance(item.result, ChatResult)
                return event(self._end(item.result, first_at) | {"content": ""})
            if self._asked.only_reads or not isinstance(item, Delta) or not item.text:
                return b""
            return event({"index": 0, "content": item.text, "stop": False})

        return SseForm(render)

    def _end(self, result: ChatResult, first_at: float) -> dict[str, Any]:
        usage, now = result.usage, time.monotonic()
        read, written = usage.prompt_tokens - (usage.cached_tokens or 0), usage.completion_tokens
        return {
            "index": 0,
            "stop": True,
            "model": self._model,
            "tokens_predicted": written,
            "tokens_evaluated": usage.prompt_tokens,
            "tokens_cached": usage.cached_tokens or 0,
            "truncated": False,
            "stop_type": "limit" if result.finish == "length" else "eos",
            "timings": {"cache_n": usage.cached_tokens or 0}
            | _timing("prompt", read, first_at - self._began_at)
            | _timing("predicted", written, now - first_at),
        }


def _timing(name: str, tokens: int, passed_s: float) -> dict[str, float]:
    passed_s = max(passed_s, 1e-6)
    return {
        f"{name}_n": tokens,
        f"{name}_ms": passed_s * _MS,
        f"{name}_per_token_ms": passed_s * _MS / max(tokens, 1),
        f"{name}_per_second": tokens / passed_s,
    }


def _selected(told: dict[str, Any], fields: list[str] | None) -> dict[str, Any]:
    """Those of ``fields`` that there are, by the names that they are asked for by."""
    if not fields:
        return told
    found: dict[str, Any] = {}
    for field in fields:
        outer, _, inner = field.partition("/")
        value = told.get(outer)
        if inner and isinstance(value, dict) and inner in value:
            found[field] = value[inner]
        elif not inner and outer in told:
            found[field] = value
    return found
