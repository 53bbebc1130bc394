"""How servers tell calls, thoughts, log probabilities and several choices, and what each is taken
for. The shapes are those that the servers named beside them send."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ipc.messages.errors import InternalError, ServeError, UnsupportedParameter
from ipc.messages.events import (
    CallArguments,
    CallOpened,
    Delta,
    Finish,
    Piece,
    Reasoning,
    TokenLogprob,
    Usage,
)
from ipc.messages.jobs import ChatInput, Choice, Form, Json, Sampling, Text, Tool
from tests.unit.worker.engines.streams import (
    COUNTS,
    DONE,
    Event,
    chat,
    chunk,
    end,
    read,
    said,
    stream,
    whole,
)
from worker.engines.upstream.servers import ANY, SERVERS, Server

TOOLS = [Tool(name="f"), Tool(name="g")]
# A piece in short: what it is, its choice, and what it says.
Short = tuple[Any, ...]


def short(pieces: list[Piece]) -> list[Short]:
    """``pieces`` in short, those that go on with the one before joined to it."""
    found: list[list[Any]] = []
    for piece in pieces:
        match piece:
            case Delta():
                one: list[Any] = ["text", piece.choice, piece.text]
            case Reasoning():
                one = ["thought", piece.choice, piece.text]
            case CallOpened():
                one = ["call", piece.choice, piece.index, piece.id, piece.name]
            case CallArguments():
                one = ["arguments", piece.choice, piece.index, piece.text]
        if found and one[0] != "call" and found[-1][:-1] == one[:-1]:
            found[-1][-1] += one[-1]
        else:
            found.append(one)
    return [tuple(one) for one in found]


def called(*calls: dict[str, Any], **delta: Any) -> dict[str, Any]:
    return chunk({"tool_calls": list(calls), **delta})


def part(arguments: Any = None, name: str | None = None, **known: Any) -> dict[str, Any]:
    """A call, or a piece of one, by what is known of it."""
    function = {"name": name, "arguments": arguments}
    return {**known, "function": {key: value for key, value in function.items() if value != ""}}


F = [("call", 0, 0, "a", "f"), ("arguments", 0, 0, '{"x": 1}')]
G = [("call", 0, 1, "b", "g"), ("arguments", 0, 1, '{"y": 2}')]
X, Y = '{"x": 1}', '{"y": 2}'

CALLS: list[tuple[str, list[Event], list[Short]]] = [
    (
        "OpenAI: the name first, then its arguments in pieces",
        [
            chunk({"role": "assistant", "content": None}),
            called(part("", "f", index=0, id="a", type="function")),
            called(part('{"x"', index=0)),
            called(part(": 1}", index=0)),
            called(part("", "g", index=1, id="b", type="function")),
            called(part(Y, index=1)),
        ],
        [*F, *G],
    ),
    (
        "Ollama: each whole, in a delta of its own",
        [called(part(X, "f", index=0, id="a")), called(part(Y, "g", index=1, id="b"))],
        [*F, *G],
    ),
    (
        "all whole, in one delta",
        [called(part(X, "f", index=0, id="a"), part(Y, "g", index=1, id="b"))],
        [*F, *G],
    ),
    (
        "the id and the name in every delta",
        [
            called(part('{"x"', "f", index=0, id="a")),
            called(part(": 1}", "f", index=0, id="a")),
        ],
        F,
    ),
    (
        "another id in every delta",
        [called(part('{"x"', "f", index=0, id="a")), called(part(": 1}", index=0, id="b"))],
        F,
    ),
    (
        "no index",
        [
            called(part("", "f", id="a")),
            called(part(X, id="a")),
            called(part('{"y"', "g", id="b")),
            called(part(": 2}")),
        ],
        [*F, *G],
    ),
    (
        "the index begins at 1",
        [called(part(X, "f", index=1, id="a")), called(part(Y, "g", index=2, id="b"))],
        [*F, *G],
    ),
    (
        "Gemini: whole calls, all with the index 0",
        [called(part(X, "f", index=0, id="a")), called(part(Y, "g", index=0, id="b"))],
        [*F, *G],
    ),
    (
        "arguments as an object",
        [called(part({"x": 1}, "f", index=0, id="a"))],
        F,
    ),
    (
        "no arguments",
        [
            called(part("", "f", index=0, id="a"), part(None, "g", index=1, id="b")),
        ],
        [
            ("call", 0, 0, "a", "f"),
            ("arguments", 0, 0, "{}"),
            ("call", 0, 1, "b", "g"),
            ("arguments", 0, 1, "{}"),
        ],
    ),
    (
        "a name in two pieces",
        [
            called(part("", "get_", index=0, id="a")),
            called(part("", "f", index=0)),
            called(part(X, index=0)),
        ],
        [("call", 0, 0, "a", "get_f"), F[1]],
    ),
    (
        "interleaved",
        [
            called(part("", "f", index=0, id="a"), part("", "g", index=1, id="b")),
            called(part('{"y"', index=1)),
            called(part('{"x"', index=0)),
            called(part(": 2}", index=1), part(": 1}", index=0)),
        ],
        [*F, *G],
    ),
    (
        "text before, thoughts before that, and reasons in every chunk",
        [
            chunk({"reasoning_content": "hm"}, ""),
            chunk({"content": "Let me see."}, ""),
            called(part(X, "f", index=0, id="a")),
        ],
        [("thought", 0, "hm"), ("text", 0, "Let me see."), *F],
    ),
    (
        "an emoji in two halves",
        [
            called(part('{"x": "\ud83d', "f", index=0, id="a")),
            called(part('\ude00"}', index=0)),
        ],
        [F[0], ("arguments", 0, 0, '{"x": "😀"}')],
    ),
]


def named(cases: list[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: str(case[0]))


@named(CALLS)
@pytest.mark.parametrize("reason", ["tool_calls", "stop", "function_call"])
@pytest.mark.parametrize("piece_bytes", [None, 1], ids=["at once", "bytes"])
def test_calls_come_one_after_the_other(
    case: tuple[str, list[Event], list[Short]], reason: str, piece_bytes: int | None
) -> None:
    _, events, told = case
    pieces, result = read(stream([*events, *end(reason)]), piece_bytes, asked=chat(tools=TOOLS))
    assert short(pieces) == told
    assert result.finish == "tool_calls"


def test_a_call_is_told_as_soon_as_its_arguments_begin() -> None:
    """And the next one once they are an object."""
    events = [
        called(part("", "f", index=0, id="a")),
        called(part('{"x"', index=0)),
        called(part(Y, "g", index=1, id="b")),
        called(part(": 1}", index=0)),
    ]
    told = [
        len(short(read(stream([*events[:upto], DONE]), asked=chat(tools=TOOLS))[0]))
        for upto in range(1, 5)
    ]
    assert told == [2, 2, 4, 4]


@pytest.mark.parametrize("has_index", [True, False])
def test_a_whole_message_has_calls_too(has_index: bool) -> None:
    calls = [part(X, "f", id="a"), part(Y, "g", id="b")]
    if has_index:
        calls = [{"index": at, **call} for at, call in enumerate(calls)]
    message = {"content": "So:", "reasoning": "hm", "tool_calls": calls}
    body = json.dumps(whole(message, "tool_calls")).encode()
    pieces, result = read(body, asked=chat(tools=TOOLS))
    assert short(pieces) == [("thought", 0, "hm"), ("text", 0, "So:"), *F, *G]
    assert result.finish == "tool_calls"


def test_a_whole_message_at_the_end_of_a_stream_says_nothing_twice() -> None:
    message = {"content": "Yes!", "reasoning": "hm", "tool_calls": [part(X, "f", id="a")]}
    events = [chunk({"reasoning": "hm"}), *said("Yes"), called(part(X, "f", id="a"))]
    pieces, _ = read(stream([*events, whole(message), DONE]), asked=chat(tools=TOOLS))
    assert sorted(short(pieces)) == sorted(
        [("thought", 0, "hm"), ("text", 0, "Yes"), *F, ("text", 0, "!")]
    )


@pytest.mark.parametrize(
    "events",
    [
        [called(part(X, "f", index=0))],
        [chunk({"function_call": {"name": "f", "arguments": X}})],
        [chunk({"function_call": {"name": "f"}}), chunk({"function_call": {"arguments": X}})],
    ],
)
def test_a_call_without_an_id_gets_one(events: list[Event]) -> None:
    pieces, _ = read(stream([*events, *end("tool_calls")]), asked=chat(tools=TOOLS))
    opened, arguments = short(pieces)
    assert re.fullmatch("call_[A-Za-z0-9]{24}", opened[3])
    assert (opened[4], arguments[3]) == ("f", X)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([called(part('{"x', "f", index=0, id="a"))], [F[0], ("arguments", 0, 0, '{"x')]),
        ([called(part("", "f", index=0, id="a"))], [F[0]]),
        ([called(part(X, "f", index=0, id="a"), part("", "", index=1))], F),
    ],
)
def test_a_call_that_was_cut_is_kept_as_far_as_it_has_a_name(
    events: list[Event], told: list[Short]
) -> None:
    pieces, result = read(stream([*events, *end("length")]), asked=chat(tools=TOOLS))
    assert (short(pieces), result.finish) == (told, "length")


def test_what_a_model_does_wrong_is_passed_on() -> None:
    """A tool that nobody offered, arguments that are no JSON: its client is there to tell it."""
    events = [called(part("so what", "other", index=0, id="a")), *end("tool_calls")]
    pieces, result = read(stream(events), asked=chat(tools=TOOLS))
    assert short(pieces) == [("call", 0, 0, "a", "other"), ("arguments", 0, 0, "so what")]
    assert result.finish == "tool_calls"


IMPOSSIBLE: list[tuple[str, list[Event], str]] = [
    (
        "more of a whole call",
        [called(part(X, "f", index=0, id="a"), part(Y, "g", index=1)), called(part("}", index=0))],
        "went on with a call that was whole",
    ),
    (
        "another name",
        [called(part("{", "f", index=0, id="a")), called(part("}", "g", index=0, id="a"))],
        "renamed a call",
    ),
    ("no name", [called(part(X, "", index=0, id="a"))], "without saying which"),
    ("no function", [called({"index": 0, "id": "a"})], "not what the OpenAI API describes"),
]


@named(IMPOSSIBLE)
def test_calls_of_which_no_sense_can_be_made_are_an_error(
    case: tuple[str, list[Event], str],
) -> None:
    _, events, words = case
    with pytest.raises(InternalError, match=words):
        read(stream([*events, *end("tool_calls")]), asked=chat(tools=TOOLS))


# --- several choices -----------------------------------------------------------------------------


def both(*events: Event, usage: Any = COUNTS) -> bytes:
    return stream([*events, {"choices": [], "usage": usage}, DONE])


TWO = chat({"n": 2}, tools=TOOLS)


def test_choices_are_told_apart() -> None:
    body = both(
        chunk({"content": "a"}),
        chunk({"content": "b"}, at=1),
        chunk({"reasoning": "hm", "tool_calls": [part(X, "f", index=0, id="a")]}, at=1),
        chunk({"content": "c"}, "length"),
        chunk({}, "stop", at=1),
        chunk({"content": "nobody asked"}, at=2),
    )
    pieces, result = read(body, asked=TWO)
    assert short(pieces) == [
        ("text", 0, "a"),
        ("text", 1, "b"),
        ("thought", 1, "hm"),
        ("call", 1, 0, "a", "f"),
        ("arguments", 1, 0, X),
        ("text", 0, "c"),
    ]
    assert (result.finish, result.others) == ("length", ["tool_calls"])
    assert result.usage == Usage(prompt_tokens=3, completion_tokens=2)


def test_llama_cpp_counts_each_choice_for_itself() -> None:
    counts = [{"prompt_tokens": 3, "completion_tokens": many} for many in (2, 5)]
    events: list[Event] = []
    for at, each in enumerate(counts):
        events += [chunk({"content": "a"}, "stop", at=at), {"choices": [], "usage": each}]
    for server, tokens in ((SERVERS["llamacpp"], 7), (ANY, 5)):
        _, result = read(stream([*events, DONE]), asked=TWO, server=server)
        assert result.usage == Usage(prompt_tokens=3, completion_tokens=tokens)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (
            COUNTS | {"completion_tokens_details": {"reasoning_tokens": 1}},
            Usage(prompt_tokens=3, completion_tokens=2, reasoning_tokens=1),
        ),
        (  # SGLang
            COUNTS | {"reasoning_tokens": 1, "prompt_tokens_details": None},
            Usage(prompt_tokens=3, completion_tokens=2, reasoning_tokens=1),
        ),
        (None, Usage(completion_tokens=2, reasoning_tokens=1)),
    ],
)
def test_thoughts_are_counted(counts: Any, usage: Usage) -> None:
    body = both(chunk({"reasoning": "hm"}), *said("yes"), end()[0], usage=counts)
    assert read(body)[1].usage == usage


# --- log probabilities ---------------------------------------------------------------------------

LIKELY = chat({"logprobs": 1})


def likely(*tokens: str, **more: Any) -> dict[str, Any]:
    tops = [{"token": "x", "logprob": -2.0, "bytes": [120]}] * 2
    return {
        "content": [
            {"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": tops, **more}
            for token in tokens
        ]
    }


def token(text: str | bytes, logprob: float = -0.5, *top: TokenLogprob, id_: int = -1) -> Any:
    data = text.encode() if isinstance(text, str) else text
    return TokenLogprob(id=id_, data=data, logprob=logprob, top=list(top))


X_TOP = token("x", -2.0)


def spoken(content: str, logprobs: Any, **more: Any) -> dict[str, Any]:
    one = chunk({"content": content, **more})
    one["choices"][0]["logprobs"] = logprobs
    return one


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (
            [spoken("a", likely("a")), spoken("bc", likely("b", "c"))],
            [("a", [token("a", -0.5, X_TOP)]), ("bc", [token(t, -0.5, X_TOP) for t in "bc"])],
        ),
        (  # half a character has no text of its own
            [
                spoken("", likely("\ufffd", bytes=[0xC3])),
                spoken("ä", likely("\ufffd", bytes=[0xA4], id=7)),
            ],
            [("ä", [token(b"\xc3", -0.5, X_TOP), token(b"\xa4", -0.5, X_TOP, id_=7)])],
        ),
        (  # nor has the last token
            [spoken("a", likely("a")), spoken("", likely("</s>"))],
            [("a", [token("a", -0.5, X_TOP)]), ("", [token("</s>", -0.5, X_TOP)])],
        ),
        (
            [spoken("a", likely("a"), reasoning="hm")],
            [("hm", None), ("a", [token("a", -0.5, X_TOP)])],
        ),
        ([spoken("a", likely("a", logprob=None))], [("a", [token("a", float("-inf"), X_TOP)])]),
    ],
)
def test_log_probabilities_go_with_the_text(events: list[Event], told: Any) -> None:
    pieces, _ = read(stream([*events, *end()]), asked=LIKELY)
    texts = [piece for piece in pieces if isinstance(piece, Delta | Reasoning)]
    assert [(piece.text, piece.logprobs) for piece in texts] == told


def test_log_probabilities_that_nobody_asked_for_are_left_out() -> None:
    (piece,), _ = read(stream([spoken("a", likely("a")), *end()]))
    assert isinstance(piece, Delta)
    assert piece.logprobs is None


def test_completions_have_a_form_of_their_own() -> None:
    listed = {
        "tokens": ["a", "b"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {"c": -3.0, "b": -0.5}],
        "text_offset": [0, 1],
    }
    events = [{"choices": [{"index": 0, "text": "ab", "logprobs": listed}]}, *end()]
    asked = ChatInput(prompts=[Text("")], sampling=Sampling(max_tokens=9, logprobs=1))
    (piece,), _ = read(stream(events), asked=asked)
    assert isinstance(piece, Delta)
    assert piece.logprobs == [token("a", float("-inf")), token("b", -0.5, token("b", -0.5))]


def test_infill_answers_in_llama_cpps_own_form() -> None:
    one = {"id": 5, "token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}
    events: list[Event] = [
        {"index": 0, "content": "a", "stop": False, "completion_probabilities": [one]},
        {
            "index": 0,
            "content": "",
            "stop": True,
            "stop_type": "limit",
            "tokens_predicted": 2,
            "tokens_evaluated": 3,
        },
    ]
    asked = ChatInput(prompts=[Text("")], sampling=Sampling(max_tokens=9, logprobs=0))
    (piece,), result = read(stream(events), asked=asked)
    assert isinstance(piece, Delta)
    assert (piece.text, piece.logprobs) == ("a", [token("a", -0.5, id_=5)])
    assert (result.finish, result.usage) == ("length", Usage(prompt_tokens=3, completion_tokens=2))


# --- what was asked and not done -----------------------------------------------------------------

A_SCHEMA: Form = Json(schema='{"type": "object"}')
SKIPPED: list[tuple[str, ChatInput, Finish, str]] = [
    ("logprobs", LIKELY, "stop", "told no log probabilities"),
    ("n", chat({"n": 3}), "stop", "sent 1 of 3"),
    ("tool_choice", chat(tools=TOOLS, must_call=True), "stop", "called no tool"),
    ("response_format", chat(form=A_SCHEMA), "stop", "no JSON"),
    ("structured_outputs.choice", chat(form=Choice(texts=["yes"])), "stop", "none of the choices"),
]


@named(SKIPPED)
def test_a_server_that_did_nothing_about_it_is_found_out(
    case: tuple[str, ChatInput, Finish, str],
) -> None:
    param, asked, finish, words = case
    with pytest.raises(UnsupportedParameter, match=words) as refused:
        read(stream([*said("Hello"), *end(finish)]), asked=asked)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("asked", "text", "finish"),
    [
        (chat(form=A_SCHEMA), '{"a": ', "length"),
        (chat(form=A_SCHEMA), '{"a": 1}', "stop"),
        (chat(form=Choice(texts=["yes"])), "yes", "stop"),
        (chat(tools=TOOLS, must_call=True), "I wo", "length"),
    ],
)
def test_what_was_kept_or_cut_is_an_answer(asked: ChatInput, text: str, finish: Finish) -> None:
    assert read(stream([*said(text), *end(finish)]), asked=asked)[1].finish == finish


def test_a_form_binds_no_calls() -> None:
    body = stream([called(part(X, "f", index=0, id="a")), *end()])
    assert read(body, asked=chat(tools=TOOLS, form=A_SCHEMA))[1].finish == "tool_calls"


@pytest.mark.parametrize("server", [ANY, *SERVERS.values()], ids=lambda server: server.kind)
def test_an_error_is_one_whatever_was_asked(server: Server) -> None:
    body = stream([chunk({"content": "a"}), {"error": {"message": "boom", "code": 500}}])
    with pytest.raises(ServeError, match="boom"):
        read(body, asked=TWO, server=server)
