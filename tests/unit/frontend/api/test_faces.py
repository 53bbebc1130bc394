"""One answer in every API that has chats: whoever asks, and however, is told the same.

Any order of text, reasoning and calls, cut anywhere, is rendered whole and as a stream by each
face, and read back as a client of that API reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.api.anthropic.message_answer import MessageAnswer
from frontend.api.ollama.answer import OllamaAnswer, as_message
from frontend.api.openai.chat_answer import Completion
from frontend.api.responses.response import Response
from frontend.api.whole_answer import WholeAnswer
from frontend.api.writer import Face
from ipc.messages.events import (
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Done,
    Finish,
    Piece,
    Reasoning,
    Usage,
)


@dataclass
class Told:
    """What a client has read of an answer."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cut_off: bool = False

    def call(self, name: str, arguments: str | Mapping[str, Any]) -> None:
        given = json.loads(arguments or "{}") if isinstance(arguments, str) else dict(arguments)
        self.calls.append((name, given))


@dataclass(frozen=True)
class Api:
    """A face, and how its clients read what it sends, whole and as a stream."""

    face: Callable[[], Face]
    whole: Callable[[Any], Told]
    streamed: Callable[[bytes], Told]


# --- OpenAI's chat completions -------------------------------------------------------------------


def _chat(body: Any) -> Told:
    (choice,) = body["choices"]
    message, usage = choice["message"], body["usage"]
    told = Told(
        text=message["content"] or "",
        reasoning=message.get("reasoning_content", ""),
        prompt_tokens=usage["prompt_tokens"],
        completion_tokens=usage["completion_tokens"],
        cut_off=choice["finish_reason"] == "length",
    )
    for call in message.get("tool_calls", ()):
        told.call(call["function"]["name"], call["function"]["arguments"])
    return told


def _chat_chunks(body: bytes) -> Told:
    told = Told()
    names: list[str] = []
    arguments: list[str] = []
    for chunk in events(body):
        if usage := chunk["usage"]:
            told.prompt_tokens = usage["prompt_tokens"]
            told.completion_tokens = usage["completion_tokens"]
        for choice in chunk["choices"]:
            told.cut_off |= choice["finish_reason"] == "length"
            told.text += choice["delta"].get("content") or ""
            told.reasoning += choice["delta"].get("reasoning_content", "")
            for call in choice["delta"].get("tool_calls", ()):
                if "name" in call["function"]:
                    names.append(call["function"]["name"])
                    arguments.append("")
                arguments[call["index"]] += call["function"]["arguments"]
    for name, text in zip(names, arguments, strict=True):
        told.call(name, text)
    return told


# --- OpenAI's Responses --------------------------------------------------------------------------


def _response(body: Any) -> Told:
    usage = body["usage"]
    told = Told(
        prompt_tokens=usage["input_tokens"],
        completion_tokens=usage["output_tokens"],
        cut_off=body["status"] == "incomplete",
    )
    for item in body["output"]:
        if item["type"] == "function_call":
            told.call(item["name"], item["arguments"])
        for part in item.get("content", ()):
            told.text += part["text"] if part["type"] == "output_text" else ""
            told.reasoning += part["text"] if part["type"] == "reasoning_text" else ""
    return told


def _response_events(body: bytes) -> Told:
    told = Told()
    items: dict[int, tuple[str, list[str]]] = {}
    for number, event in enumerate(events(body)):
        assert event["sequence_number"] == number
        match event["type"]:
            case "response.output_item.added" if event["item"]["type"] == "function_call":
                items[event["output_index"]] = event["item"]["name"], []
            case "response.function_call_arguments.delta":
                items[event["output_index"]][1].append(event["delta"])
            case "response.output_text.delta":
                told.text += event["delta"]
            case "response.reasoning_text.delta":
                told.reasoning += event["delta"]
            case "response.completed" | "response.incomplete":
                last = _response(event["response"])
    for name, arguments in items.values():
        told.call(name, "".join(arguments))
    told.prompt_tokens, told.completion_tokens = last.prompt_tokens, last.completion_tokens
    told.cut_off = last.cut_off
    assert told == last
    return told


# --- Anthropic's Messages ------------------------------------------------------------------------


def _message(body: Any) -> Told:
    usage = body["usage"]
    told = Told(
        prompt_tokens=usage["input_tokens"] + usage["cache_read_input_tokens"],
        completion_tokens=usage["output_tokens"],
        cut_off=body["stop_reason"] == "max_tokens",
    )
    for block in body["content"]:
        told.text += block.get("text", "")
        told.reasoning += block.get("thinking", "")
        if block["type"] == "tool_use":
            told.call(block["name"], block["input"])
    return told


def _message_events(body: bytes) -> Told:
    blocks: list[dict[str, Any]] = []
    arguments = ""
    message: dict[str, Any] = {}
    for event in events(body):
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                assert event["index"] == len(blocks)
                blocks.append(event["content_block"])
                arguments = ""
            case "content_block_delta":
                delta = event["delta"]
                for key in ("text", "thinking"):
                    if key in delta:
                        blocks[-1][key] += delta[key]
                arguments += delta.get("partial_json", "")
            case "content_block_stop" if arguments:
                blocks[-1]["input"] = json.loads(arguments)
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
    return _message(message | {"content": blocks})


# --- Ollama --------------------------------------------------------------------------------------


def _lines(body: bytes) -> Told:
    told = Told()
    for one in map(json.loads, body.splitlines()):
        message = one["message"]
        told.text += message["content"]
        told.reasoning += message.get("thinking", "")
        for call in message.get("tool_calls", ()):
            told.call(call["function"]["name"], call["function"]["arguments"])
        if one["done"]:
            told.prompt_tokens = one["prompt_eval_count"]
            told.completion_tokens = one["eval_count"]
            told.cut_off = one["done_reason"] == "length"
    return told


APIS = {
    "chat completions": Api(lambda: Completion("m", "fp", include_usage=True), _chat, _chat_chunks),
    "responses": Api(lambda: Response("m", {}), _response, _response_events),
    "messages": Api(lambda: MessageAnswer("m", "req"), _message, _message_events),
    "ollama": Api(
        lambda: OllamaAnswer("m", as_message),
        lambda body: _lines(json.dumps(body).encode()),
        _lines,
    ),
}


def events(body: bytes) -> Iterable[Any]:
    """What a stream of server-sent events has as JSON."""
    for event in body.decode().split("\n\n"):
        data = event[event.index("data: ") + 6 :] if "data: " in event else ""
        if data and data != "[DONE]":
            yield json.loads(data)


# --- any answer ----------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
CALL = st.tuples(st.sampled_from(["look", "add", "ö"]), st.dictionaries(TEXT, JSON, max_size=3))
PART = st.tuples(st.just("text"), TEXT) | st.tuples(st.just("reasoning"), TEXT) | CALL


def _cuts(draw: st.DrawFn, text: str) -> list[str]:
    """``text`` in pieces, some of which may be empty."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[Piece], ChatResult, Told]:
    """The pieces of an answer, its end, and what of it has to be told."""
    pieces: list[Piece] = []
    told = Told()
    for kind, content in draw(st.lists(PART, max_size=6)):
        if isinstance(content, dict):
            at = len(told.calls)
            pieces.append(CallOpened("j", at, f"call_{at}", kind))
            pieces += [CallArguments("j", at, text) for text in _cuts(draw, json.dumps(content))]
            told.calls.append((kind, content))
        elif kind == "text":
            pieces += [Delta("j", text) for text in _cuts(draw, content)]
            told.text += content
        else:
            pieces += [Reasoning("j", text) for text in _cuts(draw, content)]
            told.reasoning += content
    finish: Finish = draw(st.sampled_from(["stop", "length"]))
    if told.calls and finish == "stop":
        finish = "tool_calls"
    usage = Usage(
        prompt_tokens=draw(st.integers(5, 99)),
        completion_tokens=draw(st.integers(0, 99)),
        cached_tokens=draw(st.none() | st.integers(0, 5)),
    )
    told.prompt_tokens, told.completion_tokens = usage.prompt_tokens, usage.completion_tokens
    told.cut_off = finish == "length"
    return pieces, ChatResult(finish=finish, usage=usage), told


def in_batches(draw: st.DataObject, pieces: list[Piece]) -> list[list[Piece | Done]]:
    """``pieces`` as one wake-up after the other brings them."""
    batches: list[list[Piece | Done]] = [[]]
    for piece in pieces:
        if draw.draw(st.booleans()):
            batches.append([])
        batches[-1].append(piece)
    return [batch for batch in batches if batch]


@pytest.mark.parametrize("name", APIS)
@given(answer=answers())
def test_a_whole_answer_is_all_that_was_said(
    name: str, answer: tuple[list[Piece], ChatResult, Told]
) -> None:
    pieces, result, told = answer
    put_together = WholeAnswer()
    for piece in pieces:
        put_together.add(piece)
    api = APIS[name]
    assert api.whole(json.loads(api.face().whole(put_together, result))) == told


@pytest.mark.parametrize("name", APIS)
@given(answer=answers(), batches=st.data())
def test_a_stream_comes_to_the_same(
    name: str, answer: tuple[list[Piece], ChatResult, Told], batches: st.DataObject
) -> None:
    pieces, result, told = answer
    api = APIS[name]
    form = api.face().streamed()
    body = b"".join(map(form.render, in_batches(batches, pieces)))
    body += form.render([Done("j", result)])
    assert api.streamed(body) == told
