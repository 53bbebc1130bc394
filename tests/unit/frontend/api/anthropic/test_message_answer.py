"""Events of an answer, and the message that they are: whole, and as a stream."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from frontend.api.anthropic.message_answer import MessageAnswer
from frontend.api.whole_answer import WholeAnswer
from ipc.messages.errors import InternalError, QueueFull, ServeError, WorkerCrashed
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

USAGE = Usage(prompt_tokens=9, completion_tokens=4, cached_tokens=3)
NO_STOP = {"stop_reason": "end_turn", "stop_sequence": None}
COUNTS = {
    "input_tokens": 6,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 3,
    "output_tokens": 4,
}


def done(finish: Finish = "stop", stop_text: str | None = None, usage: Usage = USAGE) -> Done:
    return Done("j", ChatResult(finish=finish, usage=usage, stop_text=stop_text))


def whole(pieces: list[Piece], end: Done | None = None, **asked: Any) -> dict[str, Any]:
    answer, end = WholeAnswer(), end or done()
    for piece in pieces:
        answer.add(piece)
    assert isinstance(end.result, ChatResult)
    message: dict[str, Any] = orjson.loads(
        MessageAnswer("m", "req_1", **asked).whole(answer, end.result)
    )
    return message


def streamed(pieces: list[Piece], end: Done | None = None, **asked: Any) -> list[dict[str, Any]]:
    """The data of each event, whose name is its type."""
    answer = MessageAnswer("m", "req_1", **asked)
    events = [*pieces, end or done()]
    one_by_one = answer.streamed()
    sent = b"".join(one_by_one.render([event]) for event in events)
    assert answer.streamed().render(events) == sent
    return parsed(sent)


def parsed(sent: bytes) -> list[dict[str, Any]]:
    events = []
    for event in sent.decode().removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        told = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {told['type']}"
        events.append(told)
    return events


def blocks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The message's blocks as a client puts them together."""
    found: list[dict[str, Any]] = []
    given = ""
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(found)
                found.append(event["content_block"])
                given = ""
            case "content_block_delta":
                assert event["index"] == len(found) - 1
                delta = event["delta"]
                if delta["type"] == "input_json_delta":
                    given += delta["partial_json"]
                else:
                    key = delta["type"].removesuffix("_delta")
                    found[-1][key] += delta[key]
            case "content_block_stop":
                assert event["index"] == len(found) - 1
                if given:
                    found[-1]["input"] = orjson.loads(given)
    return found


TEXT: list[Piece] = [Delta("j", "Hel", prompt_tokens=9, cached_tokens=3), Delta("j", "lo")]
CALL: list[Piece] = [
    CallOpened("j", 0, "call_a1", "weather"),
    CallArguments("j", 0, '{"city":'),
    CallArguments("j", 0, ' "Köln"}'),
]
THOUGHT: list[Piece] = [Reasoning("j", "Hm"), Reasoning("j", ".")]
TOLD = {"type": "text", "text": "Hello"}
CALLED = {"type": "tool_use", "id": "toolu_a1", "name": "weather", "input": {"city": "Köln"}}
THINKS = {"type": "thinking", "thinking": "Hm.", "signature": ""}
ANSWERS: list[tuple[str, list[Piece], list[dict[str, Any]]]] = [
    ("nothing", [], []),
    ("no text", [Delta("j", "")], []),
    ("text", TEXT, [TOLD]),
    ("a call", CALL, [CALLED]),
    ("text and a call", [*TEXT, *CALL], [TOLD, CALLED]),
    ("all", [*THOUGHT, *TEXT, *CALL], [THINKS, TOLD, CALLED]),
    (
        "two calls, and words after",
        [*CALL, CallOpened("j", 1, "call_b", "clock"), CallArguments("j", 1, "{}"), *TEXT],
        [CALLED, {"type": "tool_use", "id": "toolu_b", "name": "clock", "input": {}}, TOLD],
    ),
    ("odd text", [Delta("j", '"\x00\n🎉')], [{"type": "text", "text": '"\x00\n🎉'}]),
]


@pytest.mark.parametrize(
    ("pieces", "content"), [one[1:] for one in ANSWERS], ids=[one[0] for one in ANSWERS]
)
def test_blocks_are_told_in_the_order_in_which_they_came(
    pieces: list[Piece], content: list[dict[str, Any]]
) -> None:
    message = whole(pieces)
    assert message.pop("id").startswith("msg_")
    assert message == {
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        **NO_STOP,
        "usage": COUNTS,
    }
    assert blocks(streamed(pieces)) == content


def test_a_stream_event_by_event() -> None:
    start, *others = streamed([*THOUGHT[:1], *TEXT])
    assert start["message"].pop("id").startswith("msg_")
    assert start["message"] == {
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": COUNTS | {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0},
    }
    thinking, text = {**THINKS, "thinking": ""}, {**TOLD, "text": ""}
    assert others == [
        {"type": "content_block_start", "index": 0, "content_block": thinking},
        delta(0, type="thinking_delta", thinking="Hm"),
        delta(0, type="signature_delta", signature=""),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": text},
        delta(1, type="text_delta", text="Hel"),
        delta(1, type="text_delta", text="lo"),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": NO_STOP, "usage": COUNTS},
        {"type": "message_stop"},
    ]


def delta(index: int, **said: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": said}


def test_a_stream_begins_with_what_the_prompt_took() -> None:
    start, *_ = streamed(TEXT)
    assert start["message"]["usage"] == COUNTS | {"output_tokens": 0}
    silent, *_ = streamed([])
    assert silent["message"]["usage"] == COUNTS | {"output_tokens": 0}


@pytest.mark.parametrize(
    ("end", "reason", "sequence"),
    [
        (done(), "end_turn", None),
        (done("length"), "max_tokens", None),
        (done("tool_calls"), "tool_use", None),
        (done("content_filter"), "refusal", None),
        (done("stop", "END"), "stop_sequence", "END"),
        (done("tool_calls", "END"), "stop_sequence", "END"),
    ],
)
def test_why_it_ended(end: Done, reason: str, sequence: str | None) -> None:
    told = {"stop_reason": reason, "stop_sequence": sequence}
    message = whole(TEXT, end)
    assert {key: message[key] for key in told} == told
    *_, last, _ = streamed(TEXT, end)
    assert last["delta"] == told


def test_tokens_of_thinking_are_counted_where_there_are_any() -> None:
    end = done(usage=Usage(prompt_tokens=9, completion_tokens=4, reasoning_tokens=2))
    assert whole(THOUGHT, end)["usage"]["output_tokens_details"] == {"thinking_tokens": 2}
    *_, last, _ = streamed(THOUGHT, end)
    assert last["usage"]["output_tokens_details"] == {"thinking_tokens": 2}


def test_what_it_thinks_may_be_left_out_but_not_that_it_does() -> None:
    hidden = THINKS | {"thinking": ""}
    assert whole([*THOUGHT, *TEXT], shows_thinking=False)["content"] == [hidden, TOLD]
    events = streamed([*THOUGHT, *TEXT], shows_thinking=False)
    assert blocks(events) == [hidden, TOLD]
    assert "Hm" not in str(events)


def test_a_request_that_only_reads_gets_no_words() -> None:
    message = whole(TEXT, done(), only_reads=True)
    told = {"stop_reason": "max_tokens", "stop_sequence": None}
    assert (message["content"], message["usage"]["output_tokens"]) == ([], 0)
    assert {key: message[key] for key in told} == told
    start, last, stop = streamed(TEXT, done(), only_reads=True)
    assert start["message"]["usage"] == COUNTS | {"output_tokens": 0}
    assert last == {"type": "message_delta", "delta": told, "usage": COUNTS | {"output_tokens": 0}}
    assert stop == {"type": "message_stop"}


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (["{", "}"], {}),
        ([], {}),
        (['{"n": 123456789012345678901234567890}'], {"n": 123456789012345678901234567890}),
        (['{"city": "Kö'], {}),
        (['{"city": "Köln", "days": [1, 2'], {"city": "Köln", "days": [1, 2]}),
        (["nonsense"], {}),
        (["[1]"], {}),
    ],
)
def test_what_a_call_is_given(arguments: list[str], given: dict[str, Any]) -> None:
    call: list[Piece] = [CallOpened("j", 0, "call_a", "f")]
    call += [CallArguments("j", 0, one) for one in arguments]
    answer = WholeAnswer()
    for piece in call:
        answer.add(piece)
    result = ChatResult(finish="length", usage=USAGE)
    sent = MessageAnswer("m", "req_1").whole(answer, result)
    assert json.loads(sent)["content"][0]["input"] == given


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WorkerCrashed("it died"), "overloaded_error"),
        (InternalError("it broke"), "api_error"),
        (QueueFull("busy"), "rate_limit_error"),
    ],
)
def test_a_stream_that_fails_says_so(error: ServeError, kind: str) -> None:
    form = MessageAnswer("m", "req_1").streamed()
    form.render([*TEXT])
    assert parsed(form.failure(error)) == [
        {
            "type": "error",
            "error": {"type": kind, "message": error.message},
            "request_id": "req_1",
        }
    ]


def test_silence_is_broken_by_a_ping() -> None:
    assert MessageAnswer("m", "req_1").streamed().keepalive() == (
        b'event: ping\ndata: {"type":"ping"}\n\n'
    )
