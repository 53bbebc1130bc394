"""A response, whole and as its events: literal histories."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from frontend.api.responses.output_items import Shape
from frontend.api.responses.response import Response
from frontend.api.whole_answer import WholeAnswer
from ipc.messages.errors import ContextTooLong, InternalError, WorkerCrashed
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

USAGE = Usage(prompt_tokens=7, completion_tokens=9, cached_tokens=3, reasoning_tokens=2)
TEXT: list[Piece] = [Delta("j", "Hello"), Delta("j", ""), Delta("j", " there")]
THOUGHT: list[Piece] = [Reasoning("j", "Ra"), Reasoning("j", "in?")]
CALL: list[Piece] = [
    CallOpened("j", 0, "call_a", "weather"),
    CallArguments("j", 0, '{"town":'),
    CallArguments("j", 0, '"Rome"}'),
]
PATCH: list[Piece] = [
    CallOpened("j", 0, "call_a", "patch"),
    CallArguments("j", 0, '{"input":"a\\n'),
    CallArguments("j", 0, 'b"}'),
]
TOKEN = TokenLogprob(id=1, data=b"Hi", logprob=-0.5, top=[TokenLogprob(1, b"Hi", -0.5)])
TOLD = {
    "token": "Hi",
    "logprob": -0.5,
    "bytes": [72, 105],
    "top_logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}],
}
PLAIN = Shape()
CUSTOM = Shape(custom_tools=frozenset({"patch"}))
SUMMARY = Shape(summarizes=True)
HIDDEN = Shape(shows_reasoning=False)


def end(finish: Finish = "stop") -> ChatResult:
    return ChatResult(finish=finish, usage=USAGE)


def response(shape: Shape = PLAIN, **more: Any) -> Response:
    return Response("org/chat", {"instructions": "Be kind."}, shape, **more)


def whole(answer: Response, pieces: list[Piece], result: ChatResult) -> Any:
    put_together = WholeAnswer()
    for piece in pieces:
        put_together.add(piece)
    return orjson.loads(answer.whole(put_together, result))


def events_in(body: bytes) -> list[Any]:
    """The data of each event, whose name is its type."""
    found = []
    for event in body.decode().removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        found.append(orjson.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def events(answer: Response, pieces: list[Piece], result: ChatResult | None = None) -> list[Any]:
    """The events of a stream in which every piece comes alone."""
    render = answer.streamed().render
    last = [] if result is None else [Done("j", result)]
    return events_in(b"".join(render([item]) for item in [*pieces, *last]))


def said(answer: Response, pieces: list[Piece], result: ChatResult) -> list[Any]:
    """What stands between the two first events and the last one, by the types' ends; without what
    is alike in all, and with ids cut to their kind."""
    told = []
    for event in events(answer, pieces, result)[2:-1]:
        kind = event.pop("type").removeprefix("response.")
        del event["sequence_number"]
        told.append((kind, _short(event)))
    return told


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: each.partition("_")[0] if key in ("id", "item_id") else _short(each)
            for key, each in value.items()
        }
    return [_short(each) for each in value] if isinstance(value, list) else value


def test_a_text() -> None:
    place = {"item_id": "msg", "output_index": 0, "content_index": 0}
    item = {"id": "msg", "type": "message", "role": "assistant"}
    part = {"type": "output_text", "text": "Hello there", "annotations": [], "logprobs": []}
    assert said(response(), TEXT, end()) == [
        (
            "output_item.added",
            {"output_index": 0, "item": item | {"status": "in_progress", "content": []}},
        ),
        ("content_part.added", place | {"part": part | {"text": ""}}),
        ("output_text.delta", place | {"delta": "Hello", "logprobs": []}),
        ("output_text.delta", place | {"delta": " there", "logprobs": []}),
        ("output_text.done", place | {"text": "Hello there", "logprobs": []}),
        ("content_part.done", place | {"part": part}),
        (
            "output_item.done",
            {"output_index": 0, "item": item | {"status": "completed", "content": [part]}},
        ),
    ]


def test_what_was_thought() -> None:
    place = {"item_id": "rs", "output_index": 0, "content_index": 0}
    item: Any = {"id": "rs", "type": "reasoning", "encrypted_content": None, "summary": []}
    part = {"type": "reasoning_text", "text": "Rain?"}
    assert said(response(), THOUGHT, end("length")) == [
        (
            "output_item.added",
            {"output_index": 0, "item": item | {"status": "in_progress", "content": []}},
        ),
        ("content_part.added", place | {"part": part | {"text": ""}}),
        ("reasoning_text.delta", place | {"delta": "Ra"}),
        ("reasoning_text.delta", place | {"delta": "in?"}),
        ("reasoning_text.done", place | {"text": "Rain?"}),
        ("content_part.done", place | {"part": part}),
        (
            "output_item.done",
            {"output_index": 0, "item": item | {"status": "incomplete", "content": [part]}},
        ),
    ]


def test_a_summary_has_what_was_thought_too() -> None:
    place = {"item_id": "rs", "output_index": 0, "summary_index": 0}
    part = {"type": "summary_text", "text": "Rain?"}
    told = said(response(SUMMARY), THOUGHT, end())
    assert [event for event in told if "summary" in event[0]] == [
        ("reasoning_summary_part.added", place | {"part": part | {"text": ""}}),
        ("reasoning_summary_text.delta", place | {"delta": "Ra"}),
        ("reasoning_summary_text.delta", place | {"delta": "in?"}),
        ("reasoning_summary_text.done", place | {"text": "Rain?"}),
        ("reasoning_summary_part.done", place | {"part": part}),
    ]
    assert told[-1][1]["item"]["summary"] == [part]
    assert told[-1][1]["item"]["content"] == [{"type": "reasoning_text", "text": "Rain?"}]


def test_a_call() -> None:
    place = {"item_id": "fc", "output_index": 0}
    item = {"id": "fc", "type": "function_call", "call_id": "call_a", "name": "weather"}
    arguments = '{"town":"Rome"}'
    assert said(response(), CALL, end("tool_calls")) == [
        (
            "output_item.added",
            {"output_index": 0, "item": item | {"status": "in_progress", "arguments": ""}},
        ),
        ("function_call_arguments.delta", place | {"delta": '{"town":'}),
        ("function_call_arguments.delta", place | {"delta": '"Rome"}'}),
        ("function_call_arguments.done", place | {"name": "weather", "arguments": arguments}),
        (
            "output_item.done",
            {"output_index": 0, "item": item | {"status": "completed", "arguments": arguments}},
        ),
    ]


def test_a_call_of_a_custom_tool() -> None:
    place = {"item_id": "ctc", "output_index": 0}
    item = {"id": "ctc", "type": "custom_tool_call", "call_id": "call_a", "name": "patch"}
    assert said(response(CUSTOM), PATCH, end("tool_calls")) == [
        (
            "output_item.added",
            {"output_index": 0, "item": item | {"status": "in_progress", "input": ""}},
        ),
        ("custom_tool_call_input.delta", place | {"delta": "a\nb"}),
        ("custom_tool_call_input.done", place | {"input": "a\nb"}),
        (
            "output_item.done",
            {"output_index": 0, "item": item | {"status": "completed", "input": "a\nb"}},
        ),
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"cut o', "cut o"),
        ('{"inp', ""),
        ("", ""),
        ('{"input":""}', ""),
        ('{"other":1}', '{"other":1}'),
    ],
)
def test_a_custom_call_that_is_cut_off_has_what_was_written(arguments: str, text: str) -> None:
    pieces: list[Piece] = [PATCH[0], CallArguments("j", 0, arguments)]
    (item,) = whole(response(CUSTOM), pieces, end("length"))["output"]
    assert (item["input"], item["status"]) == (text, "incomplete")


def test_items_follow_each_other_and_are_done_before_the_next_begins() -> None:
    told = said(response(), [*THOUGHT, *TEXT, *CALL, Delta("j", "Bye.")], end())
    borders = [
        (kind.removeprefix("output_item."), event["output_index"], event["item"]["id"])
        for kind, event in told
        if kind.startswith("output_item.")
    ]
    assert borders == [
        (kind, at, item)
        for at, item in enumerate(["rs", "msg", "fc", "msg"])
        for kind in ("added", "done")
    ]


def test_log_probabilities_are_those_of_the_text() -> None:
    told = dict(said(response(), [Delta("j", "Hi", logprobs=[TOKEN])], end()))
    assert told["output_text.delta"]["logprobs"] == [TOLD]
    assert told["output_text.done"]["logprobs"] == [TOLD]
    assert told["content_part.done"]["part"]["logprobs"] == [TOLD]


def test_a_response_begins_empty_and_ends_with_all_of_it() -> None:
    first, second, *_, last = events(response(), TEXT, end())
    assert (first["type"], second["type"]) == ("response.created", "response.in_progress")
    assert first["response"] == second["response"]
    assert first["response"] == last["response"] | {
        "status": "in_progress",
        "output": [],
        "usage": None,
    }
    assert last["type"] == "response.completed"
    assert last["response"]["instructions"] == "Be kind."
    assert last["response"]["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 16,
    }


@pytest.mark.parametrize(
    ("finish", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_how_it_ends(finish: Finish, status: str, details: dict[str, str] | None) -> None:
    *_, done, last = events(response(), [*THOUGHT, *TEXT], end(finish))
    assert last["type"] == f"response.{status}"
    assert (last["response"]["status"], last["response"]["incomplete_details"]) == (status, details)
    assert done["item"]["status"] == status
    assert [item["status"] for item in last["response"]["output"]] == ["completed", status]


HISTORIES = {
    "nothing": (PLAIN, []),
    "no words": (PLAIN, [Delta("j", "")]),
    "a text": (PLAIN, TEXT),
    "thoughts": (PLAIN, THOUGHT),
    "a summary": (SUMMARY, [*THOUGHT, *TEXT]),
    "a call": (PLAIN, CALL),
    "a custom call": (CUSTOM, [*TEXT, *PATCH]),
    "all, and text again": (CUSTOM, [*THOUGHT, *TEXT, *CALL, Delta("j", "Bye."), *THOUGHT]),
    "hidden thoughts": (HIDDEN, [*THOUGHT, *TEXT, *THOUGHT, Delta("j", "Bye."), *THOUGHT]),
    "hidden thoughts alone": (HIDDEN, THOUGHT),
    "log probabilities": (PLAIN, [Delta("j", "Hi", logprobs=[TOKEN]), Delta("j", "", logprobs=[])]),
}


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize(("shape", "pieces"), HISTORIES.values(), ids=HISTORIES)
def test_the_last_event_has_what_a_whole_answer_is(
    shape: Shape, pieces: list[Piece], finish: Finish
) -> None:
    answer = response(shape)
    told = events(answer, pieces, end(finish))
    assert told[-1]["response"] == whole(answer, pieces, end(finish))
    assert [event["sequence_number"] for event in told] == [*range(len(told))]
    items = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    assert told[-1]["response"]["output"] == items


def test_hidden_thoughts_are_no_items() -> None:
    output = whole(response(HIDDEN), [*THOUGHT, *TEXT, *THOUGHT, *CALL], end())["output"]
    assert [item["type"] for item in output] == ["message", "function_call"]


def test_an_answer_without_anything_is_an_empty_message() -> None:
    (item,) = whole(response(), [], end())["output"]
    assert (item["type"], item["content"][0]["text"]) == ("message", "")


def test_a_failure_is_the_last_event_and_has_what_came() -> None:
    stream = response(names={"messages": "input"}).streamed()
    begun = events_in(stream.render([*TEXT]))
    (last,) = events_in(stream.failure(WorkerCrashed("the worker of `messages` is gone")))
    assert last["sequence_number"] == begun[-1]["sequence_number"] + 1
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {
        "code": "worker_crashed",
        "message": "the worker of `messages` is gone",
    }
    (item,) = last["response"]["output"]
    assert (item["status"], item["content"][0]["text"]) == ("incomplete", "Hello there")


def test_a_failure_before_anything_came_is_a_response_too() -> None:
    stream = response(names={"messages": "input"}).streamed()
    error = ContextTooLong("`messages` has too many tokens", param="messages")
    first, second, last = events_in(stream.failure(error))
    assert [event["type"] for event in (first, second)] == [
        "response.created",
        "response.in_progress",
    ]
    assert last["response"]["error"] == {
        "code": "context_length_exceeded",
        "message": "`input` has too many tokens",
    }


def test_a_call_that_goes_on_behind_a_text_is_no_answer() -> None:
    stream = response().streamed()
    with pytest.raises(InternalError, match="went on behind another block"):
        stream.render([*CALL[:2], Delta("j", "x"), CALL[2]])


def test_a_response_is_kept_before_the_client_knows_that_it_has_ended() -> None:
    kept: list[Any] = []
    answer = response(keep=kept.append)
    stream = answer.streamed()
    stream.render([*TEXT])
    assert not kept
    (*_, last) = events_in(stream.render([Done("j", end())]))
    assert kept == [last["response"]]
    assert whole(answer, TEXT, end()) == kept[1] == kept[0]
