"""POST /v1/completions: what is asked, and the answer whole and as a stream."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from frontend.api.completions.completion_answer import TextCompletion
from frontend.api.completions.request import parse_completion
from frontend.api.whole_answer import WholeAnswer
from ipc.messages.errors import InternalError, InvalidRequest, UnsupportedParameter
from ipc.messages.events import (
    ChatResult,
    Delta,
    Done,
    Finish,
    Piece,
    Reasoning,
    TokenLogprob,
    Usage,
)
from ipc.messages.jobs import ChatInput, Fill, Text, Tokens
from tests.unit.frontend.http_fakes import CHAT, FakeDispatcher, application, says


def asked(prompt: Any = "a", **more: Any) -> ChatInput:
    return parse_completion({"model": "org/chat", "prompt": prompt, **more}).to_input(CHAT)


@pytest.mark.parametrize(
    ("prompt", "more", "prompts"),
    [
        ("Once", {}, [Text("Once")]),
        ("", {}, [Text("")]),
        (["a", "b"], {}, [Text("a"), Text("b")]),
        ([1, 2], {}, [Tokens(ids=[1, 2])]),
        ([1.0, 2], {}, [Tokens(ids=[1, 2])]),
        ([[1, 2], [3]], {}, [Tokens(ids=[1, 2]), Tokens(ids=[3])]),
        ("a", {"suffix": "b"}, [Fill(prefix="a", suffix="b")]),
        (["a", ""], {"suffix": "b"}, [Fill(prefix="a", suffix="b"), Fill(prefix="", suffix="b")]),
        ("a", {"suffix": ""}, [Text("a")]),
        ([1], {"suffix": None}, [Tokens(ids=[1])]),
    ],
)
def test_a_prompt_in_each_of_its_forms(prompt: Any, more: dict[str, Any], prompts: Any) -> None:
    assert asked(prompt, **more).prompts == prompts


@pytest.mark.parametrize(
    ("prompt", "param", "rule"),
    [
        (None, "prompt", "must be a string, an array of token ids, or an array of either"),
        (3, "prompt", "must be a string"),
        ({}, "prompt", "must be a string"),
        ([], "prompt", "must have at least 1 item"),
        ([[]], "prompt[0]", "must have at least 1 item"),
        (["a", 1], "prompt[1]", "must be a string"),
        ([1, "a"], "prompt[1]", "must be an integer"),
        ([[1], "a"], "prompt[1]", "must be an array"),
        ([1, True], "prompt[1]", "must be an integer"),
        ([-1], "prompt[0]", "must be at least 0"),
        (["a\0"], "prompt[0]", "must not contain NUL"),
        (["a"] * 129, "prompt", "must have at most 128 items"),
    ],
)
def test_what_is_no_prompt(prompt: Any, param: str, rule: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(prompt)
    assert refused.value.param == param
    assert rule in refused.value.message


@pytest.mark.parametrize(
    ("prompt", "more", "param"),
    [
        ([1], {"suffix": "b"}, "suffix"),
        ("a", {"suffix": "b", "echo": True}, "echo"),
        ("a", {"logprobs": 0, "echo": True}, "echo"),
        (["a"] * 65, {"n": 2}, "prompt"),
        ("a", {"n": 9}, "n"),
        ("a", {"max_tokens": 0}, "max_tokens"),
        ("a", {"logprobs": 21}, "logprobs"),
        ("a", {"logprobs": True}, "logprobs"),
        ("a", {"best_of": 2}, "best_of"),
        ("a", {"stream": 1}, "stream"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(
    prompt: Any, more: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(prompt, **more)
    assert refused.value.param == param


def test_what_is_left_out() -> None:
    one = asked()
    assert (one.sampling.max_tokens, one.sampling.n, one.sampling.logprobs) == (16, 1, None)
    assert not one.echo
    assert one.messages == []


def test_what_is_drawn_is_as_in_chats() -> None:
    one = asked(n=2, logprobs=3, temperature=0.5, stop="x", echo=None, max_tokens=-1, seed=-1)
    sampling = one.sampling
    assert (sampling.n, sampling.logprobs, sampling.temperature) == (2, 3, 0.5)
    assert (sampling.stop, sampling.max_tokens, sampling.seed) == (["x"], 16, (1 << 63) - 1)


# --- answers -------------------------------------------------------------------------------------


def end(finish: Finish = "stop", *others: Finish) -> ChatResult:
    usage = Usage(prompt_tokens=3, completion_tokens=5, cached_tokens=0)
    return ChatResult(finish=finish, usage=usage, others=list(others))


def whole(pieces: list[Piece], result: ChatResult) -> Any:
    answer = WholeAnswer()
    for piece in pieces:
        answer.add(piece)
    return orjson.loads(TextCompletion("org/chat", "fp_0").whole(answer, result))


def streamed(pieces: list[Piece], result: ChatResult, *, include_usage: bool = False) -> list[Any]:
    """The objects of a stream in which every piece comes alone."""
    render = TextCompletion("org/chat", "fp_0", include_usage=include_usage).streamed().render
    body = b"".join([*(render([piece]) for piece in pieces), render([Done("j", result)])])
    *events, marker, rest = body.decode().split("\n\n")
    assert (marker, rest) == ("data: [DONE]", "")
    return [orjson.loads(event.removeprefix("data: ")) for event in events]


def joined(chunks: list[Any], choice: int) -> dict[str, Any]:
    """One choice as a client adds it up."""
    found: dict[str, Any] = {"index": choice, "text": "", "logprobs": None, "finish_reason": None}
    for chunk in chunks:
        for one in chunk["choices"]:
            if one["index"] != choice:
                continue
            found["text"] += one["text"]
            found["finish_reason"] = one["finish_reason"] or found["finish_reason"]
            if one["logprobs"] is not None:
                found["logprobs"] = found["logprobs"] or {key: [] for key in one["logprobs"]}
                for key, values in one["logprobs"].items():
                    found["logprobs"][key] += values
    return found


PIECES: list[Piece] = [Delta("j", "One"), Delta("j", " two"), Delta("j", ""), Delta("j", "x", 1)]


def test_an_answer_is_one_object() -> None:
    answer = whole([Delta("j", "One"), Delta("j", " two")], end("length"))
    assert answer.pop("id").startswith("cmpl-")
    assert answer.pop("created") > 1_700_000_000
    assert answer == {
        "object": "text_completion",
        "model": "org/chat",
        "system_fingerprint": "fp_0",
        "choices": [{"index": 0, "text": "One two", "logprobs": None, "finish_reason": "length"}],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 5,
            "total_tokens": 8,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def test_choices_stand_in_order_whatever_order_they_were_written_in() -> None:
    pieces: list[Piece] = [
        Delta("j", "c", choice=2),
        Delta("j", "a"),
        Delta("j", "C", choice=2),
    ]
    result = end("stop", "length", "stop")
    expected = [("a", "stop"), ("", "length"), ("cC", "stop")]
    choices = whole(pieces, result)["choices"]
    assert [(one["text"], one["finish_reason"]) for one in choices] == expected
    assert [one["index"] for one in choices] == [0, 1, 2]
    chunks = streamed(pieces, result)
    assert [joined(chunks, at) for at in range(3)] == choices
    assert all(len(chunk["choices"]) == 1 for chunk in chunks)


def test_a_stream_has_the_objects_of_a_whole() -> None:
    chunks = streamed(PIECES, end(), include_usage=True)
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    *texts, last = [chunk["choices"] for chunk in chunks]
    assert last == []
    assert [one[0]["text"] for one in texts] == ["One", " two", "x", ""]
    assert [one[0]["finish_reason"] for one in texts] == [None, None, None, "stop"]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 4
    assert chunks[-1]["usage"]["total_tokens"] == 8


def test_a_stream_without_usage_says_nothing_of_it() -> None:
    assert all("usage" not in chunk for chunk in streamed(PIECES, end()))


def token(data: bytes, logprob: float = -0.5, *top: TokenLogprob) -> TokenLogprob:
    return TokenLogprob(data[0], data, logprob, list(top))


CHOSEN = token(b" b", -0.25, token(b" b", -0.25), token(b"c", -1.5), token(b"d", float("-inf")))
LIKELY: list[Piece] = [
    Delta("j", "Ha", logprobs=[token(b"H"), token(b"a")]),
    Delta("j", " b", logprobs=[CHOSEN]),
    Delta("j", "é🎉", 4, logprobs=[*map(token, (b"\xc3", b"\xa9", b"\xf0\x9f", b"\x8e\x89"))]),
    Delta("j", "end", logprobs=[token(b"end")]),
]  # fmt: skip


def test_log_probabilities_of_a_whole_and_of_a_stream_are_the_same() -> None:
    (choice,) = whole(LIKELY, end())["choices"]
    assert joined(streamed(LIKELY, end()), 0) == choice
    text, logprobs = choice["text"], choice["logprobs"]
    assert text == "Ha bé🎉end"
    assert logprobs["tokens"] == ["H", "a", " b", "", "é", "", "🎉", "end"]
    assert logprobs["text_offset"] == [0, 1, 2, 4, 4, 5, 5, 6]
    assert logprobs["token_logprobs"][2] == -0.25
    assert logprobs["top_logprobs"][2] == {" b": -0.25, "c": -1.5, "d": -9999.0}
    assert logprobs["top_logprobs"][0] == {"H": -0.5}
    for written, at in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        assert text[at : at + len(written)] == written


@pytest.mark.parametrize(
    ("pieces", "tokens", "offsets"),
    [
        # A tokenizer of SentencePiece's kind takes the first space away.
        ([Delta("j", "a b", logprobs=[token(b" a"), token(b" b")])], ["a", " b"], [0, 1]),
        ([Delta("j", " a", logprobs=[token(b" a")])], [" a"], [0]),
        # Tokens of a stop text are told, but are no part of the answer.
        ([Delta("j", "ab", logprobs=[token(b"ab"), token(b"STOP")])], ["ab"], [0]),
        ([Delta("j", "", 0, logprobs=[])], [], []),
    ],
)
def test_tokens_are_where_their_offsets_say(
    pieces: list[Piece], tokens: list[str], offsets: list[int]
) -> None:
    (choice,) = whole(pieces, end())["choices"]
    assert choice["logprobs"]["tokens"] == tokens
    assert choice["logprobs"]["text_offset"] == offsets


def test_a_stream_counts_on_after_text_without_tokens() -> None:
    pieces: list[Piece] = [Delta("j", "Hi", 0), Delta("j", " b", logprobs=[token(b" b")])]
    assert joined(streamed(pieces, end()), 0)["logprobs"]["text_offset"] == [2]


def test_more_than_text_is_no_completion() -> None:
    with pytest.raises(InternalError):
        streamed([Reasoning("j", "Hm")], end())


def test_it_is_served() -> None:
    fake = FakeDispatcher(says("One", " two"))
    body = {"model": "org/chat", "prompt": "Count: ", "max_tokens": 4}
    with TestClient(application(fake)) as client:
        answer = client.post("/v1/completions", json=body).json()
        stream = client.post("/v1/completions", json={**body, "stream": True})
    assert answer["choices"][0]["text"] == "One two"
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.text.endswith("data: [DONE]\n\n")
    assert [one.prompts for one in fake.asked] == [[Text("Count: ")]] * 2


def test_an_answer_to_come_with_its_prompt_says_so_to_the_engine() -> None:
    assert asked(echo=True).echo
    with pytest.raises(UnsupportedParameter):
        asked(echo=True, suffix="b")
