"""The engine for tests breaks on command only where tests allow it."""

from __future__ import annotations

import pytest

from ipc.engines import TEST_ENGINES
from ipc.messages.errors import InvalidRequest
from ipc.messages.events import ChatResult, Delta, Done, Event, Token, TokenizeResult
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
