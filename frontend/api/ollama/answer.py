"""An answer in Ollama's form: one object, or a stream of lines of which the last has the counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, assert_never

import orjson

from frontend.api.ollama.errors import error_object
from frontend.api.openai.chat_objects import logprobs_object
from frontend.api.whole_answer import WholeAnswer, WholeCall
from frontend.http.answer_stream import misplaced
from frontend.http.ndjson import NdjsonForm, line
from ipc.messages.events import (
    Audio,
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Done,
    Finish,
    Marks,
    Piece,
    Reasoning,
    TokenLogprob,
    Turn,
    Usage,
)

_NS = 1_000_000_000
# A time after it has no such form; a client may ask for one, by `keep_alive`.
_LATEST_S = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
# A call is an end like another.
_REASONS: dict[Finish, str] = {"tool_calls": "stop"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a line, or a whole answer, has of the model's words. ``calls`` are objects."""

    text: str = ""
    thinking: str = ""
    calls: Sequence[dict[str, Any]] = ()


# Where an answer keeps the words.
Put = Callable[[Said], dict[str, Any]]


def as_message(said: Said) -> dict[str, Any]:
    """As /api/chat does."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text}
    if said.thinking:
        message["thinking"] = said.thinking
    if said.calls:
        message["tool_calls"] = said.calls
    return {"message": message}


def as_response(said: Said) -> dict[str, Any]:
    """As /api/generate does, where no tools are offered."""
    thinking = {"thinking": said.thinking} if said.thinking else {}
    return {"response": said.text, **thinking}


class OllamaAnswer:
    """One answer. ``model`` is the name that was asked for, ``load_s`` tells how long the request
    waited for it to be loaded."""

    def __init__(self, model: str, put: Put, load_s: Callable[[], float] = float) -> None:
        self._model = model
        self._put = put
        self._load_s = load_s
        self._started_at = time.monotonic()

    def whole(self, answer: WholeAnswer, result: ChatResult) -> bytes:
        """The answer to a client that wants no stream."""
        (choice, _), *_others = answer.choices(result)
        calls = [call_object(call, at) for at, call in enumerate(choice.calls)]
        said = Said(
            text="".join(choice.texts),
            thinking="".join(choice.reasoning),
            calls=[call for call in calls if call is not None],
        )
        times = Times(self._started_at, answer.first_at, answer.marks, self._load_s())
        likely = _likely(choice.logprobs)
        return orjson.dumps(self._object(said) | likely | _end(result, times))

    def streamed(self) -> NdjsonForm:
        lines = _Lines(self._object, self._started_at, self._load_s)
        return NdjsonForm(lines.render, error_object)

    def nothing(self, reason: Literal["load", "unload"]) -> bytes:
        """The answer to a request that asks for none, of a model that is loaded, or leaves."""
        return line(self._object(Said()) | {"done": True, "done_reason": reason})

    def _object(self, said: Said) -> dict[str, Any]:
        head = {"model": self._model, "created_at": timestamp(time.time())}
        return {**head, **self._put(said), "done": False}


@dataclass(slots=True)
class Times:
    """Seconds of `time.monotonic`: when the request came, when the first piece of the answer was
    there; what the worker knew of the job's time, what the load took that it waited for."""

    started_at: float
    first_at: float | None = None
    marks: Marks | None = None
    load_s: float = 0.0

    def durations(self, usage: Usage) -> dict[str, int]:
        """What has passed by now, in nanoseconds, with the tokens that it was spent on."""
        now = time.monotonic()
        first_at = now if self.first_at is None else self.first_at
        reading_s = None if self.marks is None else self.marks.reading_s
        if reading_s is None:  # nobody knows
            reading_s = first_at - self.started_at
        return {
            "total_duration": _ns(now - self.started_at),
            "load_duration": _ns(self.load_s),
            "prompt_eval_count": usage.prompt_tokens,
            "prompt_eval_duration": _ns(
                first_at - self.started_at if reading_s is None else reading_s
            ),
            "eval_count": usage.completion_tokens,
            "eval_duration": _ns(now - first_at),
        }


@dataclass(slots=True)
class _Lines:
    """The lines of one stream. A call is told once it is whole, as clients expect it."""

    object: Callable[[Said], dict[str, Any]]
    started_at: float
    load_s: Callable[[], float]
    first_at: float | None = None
    calls: int = 0
    opened: WholeCall | None = None
    lines: list[bytes] = field(default_factory=list)

    def render(self, events: list[Piece | Done]) -> bytes:
        if self.first_at is None:
            self.first_at = time.monotonic()
        for item in events:
            self._add(item)
        made = b"".join(self.lines)
        self.lines.clear()
        return made

    def _add(self, item: Piece | Done) -> None:
        match item:
            case Delta():
                self._close_call()
                if item.text or item.logprobs:
                    self._say(Said(text=item.text), item.logprobs)
            case Reasoning():
                self._close_call()
                self._say(Said(thinking=item.text))
            case CallOpened():
                self._close_call()
                self.opened = WholeCall(item.id, item.name)
            case CallArguments():
                if self.opened is not None:
                    self.opened.arguments.append(item.text)
            case Done():
                self._close_call()
                assert isinstance(item.result, ChatResult)
                times = Times(self.started_at, self.first_at, item.marks, self.load_s())
                self.lines.append(line(self.object(Said()) | _end(item.result, times)))
            case Audio() | Turn():
                raise misplaced(item, "a chat")
            case _:
                assert_never(item)

    def _close_call(self) -> None:
        if self.opened is None:
            return
        call = call_object(self.opened, self.calls)
        self.opened = None
        self.calls += 1
        if call is not None:
            self._say(Said(calls=[call]))

    def _say(self, said: Said, logprobs: Sequence[TokenLogprob] | None = None) -> None:
        self.lines.append(line(self.object(said) | _likely(logprobs)))


def call_object(call: WholeCall, index: int) -> dict[str, Any] | None:
    """A call with its arguments as an object, in the model's own writing but on one line; None
    where the answer broke off within them: what is there is no object."""
    text = "".join(call.arguments)
    try:
        whole = isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        whole = False
    if not whole:
        return None
    # Outside of its strings JSON has line breaks as spaces only, and within them none.
    arguments = orjson.Fragment(text.replace("\n", " ").replace("\r", " "))
    function = {"index": index, "name": call.name, "arguments": arguments}
    return {"id": call.id, "function": function}


def timestamp(seconds: float) -> str:
    """``seconds`` since 1970 as the API writes times."""
    return datetime.fromtimestamp(min(seconds, _LATEST_S), UTC).isoformat().replace("+00:00", "Z")


def _end(result: ChatResult, times: Times) -> dict[str, Any]:
    reason = _REASONS.get(result.finish, result.finish)
    return {"done": True, "done_reason": reason, **times.durations(result.usage)}


def _likely(logprobs: Sequence[TokenLogprob] | None) -> dict[str, Any]:
    found = logprobs_object(logprobs)
    return {} if found is None else {"logprobs": found["content"]}


def _ns(seconds: float) -> int:
    return max(0, round(seconds * _NS))
