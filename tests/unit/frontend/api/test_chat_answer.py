"""A chat answer from its pieces: the object, and the chunks that add up to the same."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from frontend.api.openai.chat_answer import Completion
from frontend.api.openai.chat_objects import Shape
from frontend.api.whole_answer import WholeAnswer
from ipc.messages.errors import InternalError
from ipc.messages.events import (
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Done,
    Finish,
    Piece,
    Reasoning,
    TokenLogprob,
    Usage,
)

USAGE = Usage(prompt_tokens=7, completion_tokens=9)
CALLS: list[Piece] = [
    Reasoning("j", "Rain"),
    Reasoning("j", "?"),
    Delta("j", "One moment."),
    CallOpened("j", 0, "call_a", "weather"),
    CallArguments("j", 0, '{"in": '),
    CallArguments("j", 0, '"Köln"}'),
    CallOpened("j", 1, "call_b", "time"),
    CallArguments("j", 1, "{}"),
]


def end(finish: Finish = "stop", *others: Finish, usage: Usage = USAGE) -> ChatResult:
    return ChatResult(finish=finish, usage=usage, others=list(others))


def whole(pieces: list[Piece], result: ChatResult, **shape: bool) -> Any:
    answer = WholeAnswer()
    for piece in pieces:
        answer.add(piece)
    return orjson.loads(Completion("org/chat", "fp_0", Shape(**shape)).whole(answer, result))


def chunks(pieces: list[Piece], result: ChatResult, **shape: bool) -> list[Any]:
    """The chunks of a stream in which every piece comes alone."""
    render = Completion("org/chat", "fp_0", Shape(**shape)).streamed().render
    body = b"".join([*(render([piece]) for piece in pieces), render([Done("j", result)])])
    *events, marker, rest = body.decode().split("\n\n")
    assert (marker, rest) == ("data: [DONE]", "")
    return [orjson.loads(event.removeprefix("data: ")) for event in events]


def deltas(pieces: list[Piece], result: ChatResult) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(pieces, result)]


def test_reasoning_and_calls_are_in_the_message() -> None:
    (choice,) = whole(CALLS, end("tool_calls"))["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": "One moment.",
        "refusal": None,
        "reasoning_content": "Rain?",
        "reasoning": "Rain?",
        "tool_calls": [
            {
                "id": "call_a",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"in": "Köln"}'},
            },
            {"id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
        ],
    }


def test_what_is_said_once_is_in_one_chunk() -> None:
    """Clients add up what chunks say, a repeated id or name as well."""
    opened = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    assert deltas(CALLS[:6], end("tool_calls")) == [
        {"role": "assistant", "content": None},
        {"reasoning_content": "Rain", "reasoning": "Rain"},
        {"reasoning_content": "?", "reasoning": "?"},
        {"content": "One moment."},
        {"tool_calls": [{"index": 0, **opened}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"in": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Köln"}'}}]},
        {},
    ]


@pytest.mark.parametrize(
    ("pieces", "content"),
    [
        (CALLS[:1], None),
        (CALLS[3:], None),
        ([Delta("j", ""), *CALLS[3:]], None),
        (CALLS[2:], ""),
        ([], ""),
    ],
)
def test_the_first_chunk_has_no_content_where_something_else_comes_first(
    pieces: list[Piece], content: str | None
) -> None:
    first, *others = deltas(pieces, end())
    assert first == {"role": "assistant", "content": content}
    assert all("role" not in other for other in others)


@pytest.mark.parametrize(
    ("finish", "told"), [("tool_calls", "stop"), ("stop", "stop"), ("length", "length")]
)
def test_a_call_that_was_asked_for_by_name_ends_with_stop(finish: Finish, told: str) -> None:
    """As OpenAI's does: to call was no choice of the model's."""
    assert whole(CALLS[3:], end(finish), names_call=True)["choices"][0]["finish_reason"] == told
    last = chunks(CALLS[3:], end(finish), names_call=True)[-1]["choices"][0]
    assert (last["delta"], last["finish_reason"]) == ({}, told)


def test_what_it_thinks_is_told_unless_the_client_does_not_want_it() -> None:
    assert not {"reasoning", "reasoning_content"} & {
        *whole(CALLS, end(), shows_reasoning=False)["choices"][0]["message"],
        *(
            key
            for chunk in chunks(CALLS, end(), shows_reasoning=False)
            for key in chunk["choices"][0]["delta"]
        ),
    }


@pytest.mark.parametrize(
    ("pieces", "content"),
    [([], ""), ([Delta("j", "")], ""), ([Reasoning("j", "Hm")], None), (CALLS[3:], None)],
)
def test_content_is_null_where_there_is_something_else(
    pieces: list[Piece], content: str | None
) -> None:
    assert whole(pieces, end())["choices"][0]["message"]["content"] == content


def test_pieces_without_text_are_no_chunks() -> None:
    silent: list[Piece] = [Delta("j", ""), Reasoning("j", ""), CallArguments("j", 0, "")]
    assert deltas(silent, end()) == [{"role": "assistant", "content": ""}, {}]


def test_each_choice_begins_and_ends_by_itself() -> None:
    pieces: list[Piece] = [Delta("j", "a"), Delta("j", "b", choice=1), Delta("j", "c")]
    result = end("stop", "length", "stop")
    told = [chunk["choices"][0] for chunk in chunks(pieces, result)]
    assert [(one["index"], one["delta"].get("content"), one["finish_reason"]) for one in told] == [
        (0, "", None),
        (0, "a", None),
        (1, "", None),
        (1, "b", None),
        (0, "c", None),
        (0, None, "stop"),
        (1, None, "length"),
        (2, "", None),
        (2, None, "stop"),
    ]
    assert [
        (one["index"], one["message"]["content"], one["finish_reason"])
        for one in whole(pieces, result)["choices"]
    ] == [(0, "ac", "stop"), (1, "b", "length"), (2, "", "stop")]


def test_log_probabilities_go_with_the_text_of_their_tokens() -> None:
    half = TokenLogprob(4, b"\xf0\x9f", -0.5, [TokenLogprob(4, b"\xf0\x9f", -0.5)])
    never = TokenLogprob(5, b"\x8e\x89", -float("inf"))
    pieces: list[Piece] = [Delta("j", "🎉", 2, logprobs=[half, never]), Delta("j", "", logprobs=[])]
    half_told = {"token": "\ufffd", "logprob": -0.5, "bytes": [240, 159]}
    content = [
        half_told | {"top_logprobs": [half_told]},
        {"token": "\ufffd\ufffd", "logprob": -9999.0, "bytes": [142, 137], "top_logprobs": []},
    ]
    told = [chunk["choices"][0]["logprobs"] for chunk in chunks(pieces, end())]
    assert told == [
        None,
        {"content": content, "refusal": None},
        {"content": [], "refusal": None},
        None,
    ]
    assert whole(pieces, end())["choices"][0]["logprobs"] == {"content": content, "refusal": None}


def test_reasoning_is_counted_where_there_is_any() -> None:
    counted = Usage(prompt_tokens=7, completion_tokens=9, reasoning_tokens=4)
    usage = whole([], end(usage=counted))["usage"]
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 4}
    assert "completion_tokens_details" not in whole([], end())["usage"]
    silent = whole([], end(), reasons=True)["usage"]
    assert silent["completion_tokens_details"] == {"reasoning_tokens": 0}


@pytest.mark.parametrize(
    "pieces",
    [
        [CallArguments("j", 0, "{}")],
        [CallOpened("j", 1, "call_a", "weather")],
        [*CALLS, CallArguments("j", 0, " ")],
    ],
)
def test_calls_out_of_order_are_refused(pieces: list[Piece]) -> None:
    with pytest.raises(InternalError, match="out of order"):
        whole(pieces, end())


def test_a_choice_that_never_ends_is_refused() -> None:
    with pytest.raises(InternalError, match="choice 1 of the answer has no end"):
        whole([Delta("j", "a", choice=1)], end())
