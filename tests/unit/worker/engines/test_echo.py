"""The engine for tests breaks on command only where tests allow it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.engines import TEST_ENGINES
from ipc.messages.errors import InvalidRequest
from ipc.messages.events import (
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Done,
    Event,
    Finish,
    Reasoning,
    Token,
    TokenizeResult,
    TokenLogprob,
    Usage,
)
from ipc.messages.jobs import (
    ChatInput,
    EmbedInput,
    Fill,
    Input,
    Job,
    Message,
    RawPrompt,
    Sampling,
    Text,
    TokenizeInput,
    Tokens,
    Tool,
)
from ipc.messages.spec import Spec
from worker.engine import LoadError
from worker.engines.echo.engine import Echo


def loaded(**options: str | float) -> Echo:
    engine = Echo()
    engine.load(
        Spec(name="a", task="embed", engine="echo", path="", options=options), lambda _: None
    )
    return engine


def job(text: str) -> Job:
    return Job(id="j", model="a", input=EmbedInput(texts=[text]), deadline_at=1e9)


@pytest.fixture
def _serving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TEST_ENGINES)


@pytest.mark.usefixtures("_serving")
def test_a_client_cannot_break_it() -> None:
    engine = loaded()
    with pytest.raises(InvalidRequest, match=f"faults are for tests; set {TEST_ENGINES}=1"):
        engine.admit(job("/exit 3"))
    assert engine.admit(job("exit 3"))
    assert isinstance(engine.step()[0], Done)


@pytest.mark.usefixtures("_serving")
@pytest.mark.parametrize("fault", [{"load_fails": "always"}, {"load_exits": 0}, {"orders": "/p"}])
def test_its_loading_cannot_be_broken(fault: dict[str, str | float]) -> None:
    loaded(word_ms=0, dimensions=4)
    with pytest.raises(LoadError, match=f"its faults are for tests; set {TEST_ENGINES}=1"):
        loaded(**fault)


def test_tests_may_break_it() -> None:
    engine = loaded()
    engine.admit(job("/raise now"))
    with pytest.raises(RuntimeError, match="told to break"):
        engine.step()
    with pytest.raises(LoadError, match="told to fail"):
        loaded(load_fails="always")


def chatting() -> Echo:
    engine = Echo()
    loaded = engine.load(Spec(name="a", task="chat", engine="echo", path=""), lambda _: None)
    assert loaded.fills
    assert loaded.tokenizes
    return engine


def events(asked: Input) -> list[Event]:
    engine = chatting()
    assert engine.admit(Job(id="j", model="a", input=asked, deadline_at=1e9))
    found: list[Event] = []
    while not found or not isinstance(found[-1], Done):
        found += engine.step()
    return found


def test_every_choice_of_every_prompt_is_echoed_in_order() -> None:
    prompts: list[RawPrompt] = [
        Text("one two"),
        Tokens(ids=[104, 105]),
        Fill(prefix="gap", suffix="s"),
    ]
    asked = ChatInput(prompts=prompts, sampling=Sampling(max_tokens=1, n=2), echo=True)
    *pieces, end = events(asked)
    texts = ["", "", "", "", "", ""]
    for piece in pieces:
        assert isinstance(piece, Delta)
        texts[piece.choice] += piece.text
    assert texts == ["one twoone", "one twoone", "hihi", "hihi", "gapgap", "gapgap"]
    assert isinstance(end, Done)
    assert isinstance(end.result, ChatResult)
    assert [end.result.finish, *end.result.others] == ["length", "length", *["stop"] * 4]


def test_its_tokens_are_bytes() -> None:
    chat = ChatInput(messages=[Message("user", "hi")], sampling=Sampling(max_tokens=1))
    row = [Token(104, b"h"), Token(105, b"i")]
    for asked in (TokenizeInput(ids=[104, 105]), TokenizeInput(chat=chat)):
        assert events(asked) == [Done("j", TokenizeResult(rows=[row], text="hi"))]
    assert events(TokenizeInput(texts=["hi", ""])) == [Done("j", TokenizeResult(rows=[row, []]))]


def told(text: str, **asked: Any) -> list[Event]:
    """All that becomes of a chat of ``text``."""
    fields: dict[str, Any] = {"sampling": Sampling(max_tokens=99), **asked}
    chat = ChatInput(messages=[Message("user", text)], **fields)
    engine = Echo()
    engine.load(Spec(name="a", task="chat", engine="echo", path=""), lambda _: None)
    assert engine.admit(Job(id="j", model="a", input=chat, deadline_at=1e9))
    events: list[Event] = []
    while not events or not isinstance(events[-1], Done):
        events += engine.step()
    return events


def unnamed(events: list[Event]) -> list[Event]:
    """``events`` without the ids of their tokens, which are their places."""
    return [
        msgspec.structs.replace(event, ids=[]) if getattr(event, "ids", None) else event
        for event in events
    ]


def test_each_token_is_named_by_its_place_and_an_answer_goes_on_behind_some() -> None:
    chat = ChatInput(messages=[Message("user", "a b c")], sampling=Sampling(max_tokens=9))
    engine = Echo()
    engine.load(Spec(name="a", task="chat", engine="echo", path=""), lambda _: None)
    job = Job(id="j", model="a", input=chat, deadline_at=1e9, written={0: [0, 1]})
    assert engine.admit(job)
    (piece,) = engine.step()
    assert piece == Delta("j", " c", ids=[2])
    (done,) = engine.step()
    assert isinstance(done, Done)
    assert done.result.usage.completion_tokens == 3


def test_an_answer_that_is_held_goes_on_once_its_file_is_there(tmp_path: Path) -> None:
    engine, file = chatting(), tmp_path / "go"
    asked = ChatInput(
        messages=[Message("user", f"/hold 1:{file} a b")], sampling=Sampling(max_tokens=9)
    )
    assert engine.admit(Job(id="j", model="a", input=asked, deadline_at=1e9))
    assert [*map(text_of, engine.step())] == ["a"]
    assert engine.step() == []
    wait_s = engine.wait_s()
    assert wait_s is not None
    assert wait_s < 1  # it looks for the file soon, and does not spin until then
    file.touch()
    time.sleep(wait_s)
    assert [*map(text_of, engine.step())] == [" b"]


def text_of(event: Event) -> str:
    assert isinstance(event, Delta)
    return event.text


def test_a_load_that_waits_for_a_file_ends_once_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "go"
    stages: list[str] = []

    def stage(name: str) -> None:
        stages.append(name)
        file.touch()

    options: dict[str, str | int | float | bool] = {"load_until": str(file)}
    Echo().load(Spec(name="a", task="chat", engine="echo", path="", options=options), stage)
    assert stages[0] == "reading the script"


def test_a_chat_may_think_and_call() -> None:
    text = '<think>a call</think>One moment.<call f>{"a": 1}</call><call g>{}</call>'
    tools = [Tool(name="f"), Tool(name="g")]
    *pieces, done = told(text, tools=tools)
    assert unnamed(pieces) == [
        Reasoning(job="j", text="a", prompt_tokens=6, cached_tokens=0),
        Reasoning(job="j", text=" call"),
        Delta("j", "One"),
        Delta("j", " moment."),
        CallOpened("j", 0, "call_0_0", "f"),
        CallArguments("j", 0, '{"a"'),
        CallArguments("j", 0, ": 1}"),
        CallOpened("j", 1, "call_0_1", "g"),
        CallArguments("j", 1, "{}"),
    ]
    usage = Usage(cached_tokens=0, prompt_tokens=6, completion_tokens=9, reasoning_tokens=2)
    assert done == Done("j", ChatResult(finish="tool_calls", usage=usage))


@pytest.mark.parametrize(
    ("asked", "called", "finish"),
    [
        ({"tools": [Tool(name="h")]}, [], "stop"),
        ({"tools": [Tool(name="h")], "must_call": True}, ["h"], "tool_calls"),
        ({"tools": [Tool(name="f"), Tool(name="g")], "parallel_calls": False}, ["f"], "tool_calls"),
        (
            {"tools": [Tool(name="f")], "sampling": Sampling(max_tokens=1), "must_call": True},
            ["f"],
            "length",
        ),
    ],
)
def test_it_calls_what_it_may_and_must(
    asked: dict[str, Any], called: list[str], finish: Finish
) -> None:
    *pieces, done = told("<call f>{}</call><call g>{}</call>", **asked)
    assert [piece.name for piece in pieces if isinstance(piece, CallOpened)] == called
    assert isinstance(done, Done)
    assert isinstance(done.result, ChatResult)
    assert done.result.finish == finish


def test_its_words_have_log_probabilities_where_they_are_asked_for() -> None:
    first, *_ = told("ab", sampling=Sampling(max_tokens=9, logprobs=2))
    likely = [TokenLogprob(2, b"ab", -2.0), TokenLogprob(1, b"a", -3.0)]
    assert isinstance(first, Delta)
    assert first.logprobs == [TokenLogprob(2, b"ab", -2.0, likely)]
