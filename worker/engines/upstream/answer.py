"""What a server's answer to a chat means, event by event. No sockets in here.

The table of cases is tests/unit/worker/engines/test_upstream_answer.py: what comes, and what it is
taken for. An answer counts only if the server said that it is whole, by a reason to finish, by its
mark of the end, or by sending one object in place of a stream.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.messages.errors import InternalError, ServeError, Unavailable, WorkerCrashed
from ipc.messages.events import ChatResult, Finish
from worker.engines.common.server_errors import one_line, refusal_in_stream
from worker.engines.common.server_json import SurrogateJoiner, decode, not_understood, usage_of
from worker.engines.upstream.events import StreamEvent

_DONE = b"[DONE]"
MAX_REASON_CHARS = 40

# How servers spell the same few ends, in lower case: OpenAI, vLLM, SGLang, TGI, llama.cpp, Ollama,
# Mistral, Anthropic, Gemini, Cohere, Bedrock, Zhipu.
_FINISHES: dict[str, Finish] = {
    **dict.fromkeys(
        ("stop", "eos", "eos_token", "end_turn", "end", "stop_sequence", "stop_token", "complete",
         "completed"),
        "stop",
    ),
    **dict.fromkeys(
        ("length", "limit", "max_tokens", "max_output_tokens", "max_new_tokens", "max_length",
         "model_length", "model_context_window_exceeded"),
        "length",
    ),
    **dict.fromkeys(
        ("content_filter", "content_filtered", "safety", "recitation", "blocklist",
         "prohibited_content", "spii", "language", "refusal", "sensitive", "error_toxic",
         "guardrail_intervened"),
        "content_filter",
    ),
}  # fmt: skip
_CALLS = frozenset({"tool_calls", "tool_call", "tool_use", "function_call"})
# Ends that say nothing about the request: the same one may go well.
_PASSING = frozenset({
    "abort", "aborted", "cancelled", "canceled", "insufficient_system_resource", "load",
    "network_error", "timeout", "unload",
})  # fmt: skip

# Parts of a content that are not the answer's text: how it was found, or where.
_ASIDE = frozenset({"thinking", "reasoning", "reference"})


class _Part(msgspec.Struct):
    type: str = "text"
    text: str | None = None


class _Turn(msgspec.Struct):
    """What an assistant says, in pieces or whole."""

    content: str | list[_Part | str] | None = None
    refusal: str | None = None
    reasoning: Any = None
    reasoning_content: Any = None
    tool_calls: Any = None
    function_call: Any = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Turn | None = None
    message: _Turn | None = None
    text: str | None = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    object: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    message: Any = None
    detail: Any = None

    @property
    def failure(self) -> Any:
        """What went wrong, as servers say it in a stream; None where nothing did."""
        if self.error:
            return self.error
        words = self.message or self.detail
        if self.choices is None and words and (self.object == "error" or not self.usage):
            return {"message": words}
        return None


class ChatAnswer:
    """An answer in parts. ``ended``: the server has said that nothing follows.

    ``may_be_empty``: the request has stop texts or tokens, which may be the first thing said.
    """

    def __init__(self, *, may_be_empty: bool = False) -> None:
        self.ended = False
        self._may_be_empty = may_be_empty
        self._finish: Finish | None = None
        self._usage: Any = None
        self._joiner = SurrogateJoiner()
        self._said: list[str] = []
        self._reasoned = self._called = False

    @property
    def whole(self) -> bool:
        """Whether the text is complete, though counts may follow."""
        return self.ended or self._finish is not None

    def feed(self, event: StreamEvent) -> str:
        """The text that one event brings, often none. Raises the `ServeError` in it."""
        data = event.data.strip()
        if not data:
            return ""
        if data == _DONE:
            self.ended = True
            return ""
        chunk = _chunk(event.name, data)
        self._usage = chunk.usage or self._usage
        if event.name == "whole":
            if not chunk.choices:
                not_understood()
            self.ended = True
        text = "".join(self._read(choice, chunk) for choice in chunk.choices or ())
        return self._keep(self._joiner.feed(text))

    def close(self) -> str:
        """The last of the text: a character of which only half came."""
        return self._keep(self._joiner.end())

    def result(self) -> ChatResult:
        """The end. Raises `WorkerCrashed` where the answer stopped without one, `InternalError`
        where there is nothing in it that can be passed on.

        A server that counts no tokens leaves the prompt uncounted; each piece of text is then taken
        for a token.
        """
        if not self.whole:
            raise WorkerCrashed("the upstream stopped in the middle of its answer", retry_after_s=1)
        finish = self._finish or "stop"
        if self._called:
            raise InternalError("the upstream called a tool, which cannot be passed on")
        if finish == "stop" and not self._said and not self._may_be_empty:
            raise InternalError(
                "the upstream's answer is all reasoning and no text"
                if self._reasoned
                else "the upstream's answer is empty"
            )
        return ChatResult(finish=finish, usage=usage_of(self._usage, len(self._said)))

    def _read(self, choice: _Choice, chunk: _Chunk) -> str:
        if choice.index:
            return ""  # only one answer was asked for
        if choice.finish_reason:
            self._finish = self._meaning(choice.finish_reason)
        turn = choice.delta or choice.message
        if turn is None:
            return choice.text or ""
        self._reasoned = self._reasoned or bool(turn.reasoning or turn.reasoning_content)
        self._called = self._called or bool(turn.tool_calls or turn.function_call)
        text = self._text(turn)
        if choice.delta is None and self._said and chunk.object == "chat.completion":
            return self._unsaid(text)
        return text

    def _meaning(self, reason: Any) -> Finish:
        """Raises the `ServeError` of an end that is none."""
        name = str(reason).lower()
        if name in _CALLS:
            return "stop"  # of the text; a call itself is seen apart
        if known := _FINISHES.get(name):
            return known
        raise _failed(name, str(reason))

    def _text(self, turn: _Turn) -> str:
        if not isinstance(turn.content, list):
            return turn.content or turn.refusal or ""
        return "".join(map(self._part, turn.content))

    def _part(self, part: _Part | str) -> str:
        if isinstance(part, str):
            return part
        if part.type in _ASIDE:
            self._reasoned = True
            return ""
        if part.text is None:
            kind = one_line(part.type, MAX_REASON_CHARS)
            raise InternalError(f"the upstream's answer has a part of type {kind!r}, not text")
        return part.text

    def _unsaid(self, text: str) -> str:
        """What a stream's last event, the whole answer again, says beyond what came before."""
        said = "".join(self._said)
        if not text.startswith(said):
            not_understood()
        return text[len(said) :]

    def _keep(self, text: str) -> str:
        if text:
            self._said.append(text)
        return text


def _chunk(name: str, data: bytes) -> _Chunk:
    """Raises the `ServeError` that an event stands for."""
    if name == "error":
        raise refusal_in_stream(_said(data))
    chunk = decode(data, _Chunk)
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


def _failed(name: str, reason: str) -> ServeError:
    shown = one_line(reason, MAX_REASON_CHARS)
    if name in _PASSING:
        return Unavailable(f"the upstream ended its answer early ({shown})", retry_after_s=1.0)
    if name.startswith("error"):
        return InternalError("the upstream failed in the middle of its answer")
    return InternalError(
        f"the upstream ended its answer with the reason {shown!r}, which is not known here: it may "
        "not be whole"
    )
