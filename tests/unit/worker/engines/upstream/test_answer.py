"""The ways in which servers answer a chat, and what each is taken for: bytes in, outcome out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ipc.messages.errors import (
    ContextTooLong,
    InternalError,
    InvalidRequest,
    QueueFull,
    ServeError,
    Unavailable,
    WorkerCrashed,
)
from ipc.messages.events import ChatResult, Finish, Usage
from tests.unit.worker.engines.streams import (
    COUNTS,
    DONE,
    HELLO,
    chat,
    chunk,
    counted,
    end,
    read,
    said,
    stream,
    text_of,
    whole,
)
from worker.engines.upstream.events import MAX_EVENT_BYTES, EventReader

COUNTED = Usage(prompt_tokens=3, completion_tokens=2)
# Where nobody counted, each piece of text is taken for a token.
ONE, TWO, THREE = (Usage(completion_tokens=pieces) for pieces in (1, 2, 3))
THOUGHT = Usage(completion_tokens=1, reasoning_tokens=1)
THOUGHT_AND_ONE = Usage(completion_tokens=2, reasoning_tokens=1)
CALL = [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]

HELLO_WORLD = "Hello world"
REASONS: dict[Finish, tuple[str, ...]] = {
    "stop": ("stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "COMPLETE"),
    "length": ("length", "LENGTH", "max_tokens", "MAX_TOKENS", "model_length", "limit"),
    "content_filter": ("content_filter", "SAFETY", "sensitive", "guardrail_intervened"),
}

ANSWERS: list[tuple[str, bytes, str, Finish, Usage]] = [
    ("plain", counted(COUNTS), HELLO_WORLD, "stop", COUNTED),
    ("no mark of the end", stream([*HELLO, end()[0]]), HELLO_WORLD, "stop", TWO),
    ("no reason, but the mark", stream([*HELLO, DONE]), HELLO_WORLD, "stop", TWO),
    (
        "empty reasons before the end",
        stream([*said("Hello", " world", finish=""), *end()]),
        HELLO_WORLD,
        "stop",
        TWO,
    ),
    # counts
    ("choices null", counted(COUNTS, choices=None), HELLO_WORLD, "stop", COUNTED),
    (
        "no choices",
        stream([*HELLO, end()[0], {"usage": COUNTS}, DONE]),
        HELLO_WORLD,
        "stop",
        COUNTED,
    ),
    ("usage null", stream([*HELLO, chunk({}, "stop", usage=None), DONE]), HELLO_WORLD, "stop", TWO),
    ("counts null", counted(dict.fromkeys(COUNTS)), HELLO_WORLD, "stop", TWO),
    (
        "counts as floats",
        counted({"prompt_tokens": 3.0, "completion_tokens": 2.0}),
        HELLO_WORLD,
        "stop",
        COUNTED,
    ),
    (
        "counts as texts",
        counted({"prompt_tokens": "3", "completion_tokens": "2"}),
        HELLO_WORLD,
        "stop",
        COUNTED,
    ),
    ("counts that cannot be", counted({"prompt_tokens": -1}), HELLO_WORLD, "stop", TWO),
    ("usage of another kind", counted([5]), HELLO_WORLD, "stop", TWO),
    (
        "details null",
        counted(COUNTS | {"prompt_tokens_details": None}),
        HELLO_WORLD,
        "stop",
        COUNTED,
    ),
    (
        "cached tokens",
        counted(COUNTS | {"prompt_tokens_details": {"cached_tokens": 2.0}}),
        HELLO_WORLD,
        "stop",
        Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=2),
    ),
    (
        "counts in every chunk",
        stream(
            [
                chunk({"content": "Hello"}, usage={"prompt_tokens": 3, "completion_tokens": 1}),
                chunk({"content": " world"}, usage=COUNTS),
                chunk({}, "stop", usage=None),
                DONE,
            ]
        ),
        HELLO_WORLD,
        "stop",
        COUNTED,
    ),
    # reasons
    *[
        (f"reason {reason}", stream([*HELLO, *end(reason)]), HELLO_WORLD, finish, TWO)
        for finish, reasons in REASONS.items()
        for reason in reasons
    ],
    ("filtered before any text", stream(end("content_filter")), "", "content_filter", Usage()),
    ("a call announced, none made", stream([*HELLO, *end("tool_calls")]), HELLO_WORLD, "stop", TWO),
    (
        "all tokens went into reasoning",
        stream([chunk({"reasoning_content": "thinking"}), *end("length")]),
        "",
        "length",
        THOUGHT,
    ),
    (
        "reasoning only",
        stream([chunk({"reasoning": "hm"}), *end()]),
        "",
        "stop",
        THOUGHT,
    ),
    # where the text is
    (
        "reasoning beside text",
        stream([chunk({"reasoning_content": "hm"}), *said("Hello"), *end()]),
        "Hello",
        "stop",
        THOUGHT_AND_ONE,
    ),
    (
        "content in parts",
        stream([chunk({"content": [{"type": "text", "text": "Hello"}, " world"]}), *end()]),
        HELLO_WORLD,
        "stop",
        ONE,
    ),
    (
        "reasoning in parts",
        stream(
            [
                chunk(
                    {
                        "content": [
                            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
                        ]
                    }
                ),
                chunk({"content": [{"type": "text", "text": "Hello"}]}),
                *end(),
            ]
        ),
        "Hello",
        "stop",
        THOUGHT_AND_ONE,
    ),
    (
        "a refusal",
        stream([chunk({"content": None, "refusal": "I cannot."}), *end()]),
        "I cannot.",
        "stop",
        ONE,
    ),
    (
        "message in place of delta",
        stream([whole({"content": HELLO_WORLD}) | {"object": None}, DONE]),
        HELLO_WORLD,
        "stop",
        ONE,
    ),
    (
        "delta and message",
        stream(
            [
                chunk({"content": "Hello"})
                | {
                    "choices": [
                        {"delta": {"content": "Hello"}, "message": {"content": "Hello so far"}}
                    ]
                },
                *end(),
            ]
        ),
        "Hello",
        "stop",
        ONE,
    ),
    (
        "the whole again at the end",
        stream([*HELLO, whole({"content": "Hello world!"}), DONE]),
        "Hello world!",
        "stop",
        THREE,
    ),
    (
        "text in place of delta",
        stream([{"choices": [{"text": "Hello"}]}, *end()]),
        "Hello",
        "stop",
        ONE,
    ),
    (
        "a second choice",
        stream(
            [
                {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]},
                *said("Hello"),
                *end("length"),
            ]
        ),
        "Hello",
        "length",
        ONE,
    ),
    (
        "one object, no stream",
        json.dumps(whole({"content": HELLO_WORLD}, usage=COUNTS), indent=1).encode(),
        HELLO_WORLD,
        "stop",
        COUNTED,
    ),
    (
        "one object, no reason",
        json.dumps(whole({"content": HELLO_WORLD}, None)).encode(),
        HELLO_WORLD,
        "stop",
        ONE,
    ),
    (
        "one object, cut by its limit",
        b"\n " + json.dumps(whole({"content": "Hello"}, "length")).encode(),
        "Hello",
        "length",
        ONE,
    ),
    # how events are written
    ("no space", stream([*HELLO, *end()], "data:"), HELLO_WORLD, "stop", TWO),
    (
        "returns and line feeds",
        stream([*HELLO, *end()], after="\r\n\r\n"),
        HELLO_WORLD,
        "stop",
        TWO,
    ),
    ("returns alone", stream([*HELLO, *end()], after="\r\r"), HELLO_WORLD, "stop", TWO),
    (
        "comments and fields",
        b": OPENROUTER PROCESSING\n\n" + stream([*HELLO, *end()], "event: message\nid: 1\ndata: "),
        HELLO_WORLD,
        "stop",
        TWO,
    ),
    ("null", stream(["null", *HELLO, *end()]), HELLO_WORLD, "stop", TWO),
    ("pings", stream(["", {"type": "ping"}, *HELLO, *end()]), HELLO_WORLD, "stop", TWO),
    ("a byte order mark", b"\xef\xbb\xbf" + stream([*HELLO, *end()]), HELLO_WORLD, "stop", TWO),
    (
        "events in several lines",
        b"".join(
            stream([each])
            if isinstance(each, str)
            else b"data: " + json.dumps(each, indent=1).replace("\n", "\ndata: ").encode() + b"\n\n"
            for each in [*HELLO, *end()]
        ),
        HELLO_WORLD,
        "stop",
        TWO,
    ),
    # letters
    (
        "an emoji in two halves",
        stream([chunk({"content": "a\ud83d"}), chunk({}), chunk({"content": "\ude00b"}), *end()]),
        "a😀b",
        "stop",
        TWO,
    ),
    (
        "half an emoji, then text",
        stream([chunk({"content": "\ud83d"}), chunk({"content": "b"}), *end()]),
        "\ufffdb",
        "stop",
        ONE,
    ),
    (
        "half an emoji at the end",
        stream([chunk({"content": "a\ud83d"}), *end()]),
        "a\ufffd",
        "stop",
        TWO,
    ),
    ("a replacement character", stream([*said("a\ufffd", "b"), *end()]), "a\ufffdb", "stop", TWO),
    (
        "line ends of Unicode",
        stream([*said("a\u2028b\u0085c"), *end()], ensure_ascii=False),
        "a\u2028b\u0085c",
        "stop",
        ONE,
    ),
]


def named(cases: list[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: str(case[0]))


@named(ANSWERS)
@pytest.mark.parametrize("piece_bytes", [None, 1, 7], ids=["at once", "bytes", "pieces"])
def test_an_answer_is_read_as_it_is_meant(
    case: tuple[str, bytes, str, Finish, Usage], piece_bytes: int | None
) -> None:
    _, body, text, finish, usage = case
    pieces, result = read(body, piece_bytes)
    assert (text_of(pieces), result) == (text, ChatResult(finish=finish, usage=usage))


@pytest.mark.parametrize(
    ("said_of_it", "stop_text"),
    [
        ({"stop_reason": "END"}, "END"),
        ({"matched_stop": "END"}, "END"),
        ({"stop_reason": None}, None),
        ({"stop_reason": 2, "matched_stop": 2}, None),
        ({"matched_stop": "</s>"}, None),
        ({"stop_reason": {"word": "END"}}, None),
    ],
)
def test_the_stop_text_is_told_where_the_server_says_it(
    said_of_it: dict[str, Any], stop_text: str | None
) -> None:
    last = chunk({}, "stop")
    last["choices"][0] |= said_of_it
    _, result = read(stream([*HELLO, last, DONE]), asked=chat({"stop": ["x", "END"]}))
    assert result.stop_text == stop_text


FAILURES: list[tuple[str, bytes, type[ServeError], str]] = [
    # the end is missing
    ("no reason and no mark", stream(HELLO), WorkerCrashed, "in the middle of its answer"),
    (
        "empty reasons and no mark",
        stream(said("Hello", " wor", finish="")),
        WorkerCrashed,
        "middle",
    ),
    ("nothing", b"", WorkerCrashed, "middle"),
    ("the last event is cut", stream([*HELLO, *end()])[:-30], WorkerCrashed, "middle"),
    # reasons that are failures
    ("abort", stream([*HELLO, *end("abort")]), Unavailable, "early .abort"),
    ("no resources", stream([*HELLO, *end("insufficient_system_resource")]), Unavailable, "early"),
    ("error", stream([*HELLO, *end("error")]), InternalError, "failed in the middle"),
    (
        "unknown",
        stream([*HELLO, *end("because\n")]),
        InternalError,
        "'because', which is not known",
    ),
    ("no word", stream([*HELLO, *end({"type": "stop"})]), InternalError, "not known"),
    # nothing in it
    ("empty", stream(end()), InternalError, "is empty"),
    ("only the mark", stream([DONE]), InternalError, "is empty"),
    ("an empty object", json.dumps(whole({"content": ""})).encode(), InternalError, "is empty"),
    (
        "an unasked call",
        stream([chunk({"content": None, "tool_calls": CALL}), *end("tool_calls")]),
        InternalError,
        "offered none",
    ),
    (
        "an unasked call after text",
        stream([*HELLO, chunk({"tool_calls": CALL}), *end("tool_calls")]),
        InternalError,
        "offered none",
    ),
    (
        "an image",
        stream([chunk({"content": [{"type": "image_url", "image_url": {}}]}), *end()]),
        InternalError,
        "type 'image_url', not text",
    ),
    # errors in a stream
    (
        "an error as text",
        stream([*HELLO, {"error": "CUDA out of memory"}]),
        InternalError,
        "CUDA out of memory",
    ),
    (
        "an error with a status",
        stream([*HELLO, {"error": {"message": "boom", "code": 500}}]),
        InternalError,
        "boom",
    ),
    (
        "one that may pass",
        stream([*HELLO, {"error": {"message": "busy", "code": "503"}}]),
        Unavailable,
        "busy",
    ),
    (
        "too many",
        stream([{"error": {"message": "slow", "type": "rate_limit_error"}}]),
        QueueFull,
        "slow",
    ),
    (
        "an error of another edge-serve",
        stream([*HELLO, {"error": {"message": "died", "code": "worker_crashed"}}]),
        WorkerCrashed,
        "died",
    ),
    (
        "an error of the client",
        stream([{"error": {"message": "bad", "type": "BadRequestError"}}]),
        InvalidRequest,
        "bad",
    ),
    (
        "an error event",
        stream([{"message": "boom"}], "event: error\ndata: "),
        InternalError,
        "boom",
    ),
    (
        "an error field",
        stream([{"code": 503, "message": "loading"}], "error: "),
        Unavailable,
        "loading",
    ),
    (
        "an error without its key",
        stream([{"object": "error", "message": "boom", "code": 40303}]),
        InternalError,
        "boom",
    ),
    ("a detail", stream([{"detail": "boom"}]), InternalError, "boom"),
    (
        "one object with an error",
        b'{"error": {"message": "boom", "code": 400}}',
        InvalidRequest,
        "boom",
    ),
    (
        "too long",
        stream([{"error": {"message": "n", "type": "exceed_context_size_error"}}]),
        ContextTooLong,
        "n",
    ),
    # what is no answer
    ("a page", b"<!doctype html><h1>Sign in</h1>", InternalError, "not what the OpenAI API"),
    ("a string", b'"what?"', InternalError, "not what the OpenAI API"),
    ("an object of another kind", b'{"hello": 1}', InternalError, "not what the OpenAI API"),
    (
        "an event that is no JSON",
        stream([*HELLO, "{oops", DONE]),
        InternalError,
        "not what the OpenAI API",
    ),
    (
        "another alphabet",
        stream([*said("é"), *end()], ensure_ascii=False).decode().encode("latin-1"),
        InternalError,
        "not UTF-8",
    ),
    (
        "another whole at the end",
        stream([*HELLO, whole({"content": "Bye"}), DONE]),
        InternalError,
        "not what",
    ),
]


@named(FAILURES)
def test_a_failure_is_never_told_as_an_end(case: tuple[str, bytes, type[ServeError], str]) -> None:
    _, body, kind, words = case
    with pytest.raises(ServeError, match=words) as failed:
        read(body)
    assert type(failed.value) is kind


def test_an_empty_answer_is_one_where_the_request_has_stop_texts() -> None:
    assert read(stream(end()), asked=chat({"stop": ["."]}))[1].finish == "stop"


def test_an_event_without_end_is_refused() -> None:
    reader = EventReader()
    assert reader.feed(b"data: " + b" " * (MAX_EVENT_BYTES - 6)) == []
    with pytest.raises(InternalError, match="larger than any should be"):
        reader.feed(b" ")


def test_a_long_answer_of_small_events_is_not() -> None:
    reader = EventReader()
    event = stream([chunk({"content": "x" * 1000})])
    for _ in range(2 * MAX_EVENT_BYTES // len(event)):
        assert len(reader.feed(event)) == 1
