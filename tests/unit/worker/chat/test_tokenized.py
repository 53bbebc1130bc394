"""What a model's tokenizer is asked beside its chats."""

from __future__ import annotations

from typing import Any

import pytest

from ipc.messages.errors import InvalidRequest
from ipc.messages.events import Done, Failed, Token, TokenizeResult
from ipc.messages.jobs import ChatInput, Job, Message, Sampling, TokenizeInput
from tests.unit.worker.chat.test_engine import Letters, Scripted, chat, job, stepped
from worker.chat.prompt import Layout
from worker.chat.raw import RawLayout
from worker.chat.template import Template
from worker.chat.tokenized import tokenized
from worker.chat.vocabulary import Control, Vocabulary

BOS, TURN = 256, 257
CONTROL = {"<s>": Control(BOS), "<turn>": Control(TURN)}
VOCABULARY = Vocabulary(
    [*(bytes([at]) for at in range(256)), b"", b""],
    CONTROL,
    lambda texts: [list(text.encode()) for text in texts],
    begins=[BOS],
)
TEMPLATE = "<turn>{{ messages[0].content }}{% if add_generation_prompt %}<turn>{% endif %}"
PROMPTS = Layout(Template(TEMPLATE, {}), VOCABULARY)
S, T = Token(BOS, b"<s>", control=True), Token(TURN, b"<turn>", control=True)


def letters(text: str) -> list[Token]:
    return [Token(byte, bytes([byte])) for byte in text.encode()]


def hello(text: str = "a") -> ChatInput:
    return ChatInput(messages=[Message("user", text)], sampling=Sampling(max_tokens=1))


@pytest.mark.parametrize(
    ("asked", "rows", "text"),
    [
        ({"texts": ["ab", "é"]}, [[S, *letters("ab")], [S, *letters("é")]], ""),
        ({"texts": ["ab"], "begins": False}, [letters("ab")], ""),
        ({"texts": [""]}, [[S]], ""),
        ({"texts": ["<turn>a"]}, [[S, *letters("<turn>a")]], ""),
        ({"texts": ["<turn>a<s>"], "reads_control": True}, [[S, T, *letters("a"), S]], ""),
        ({"ids": [BOS, 97, TURN]}, [[S, *letters("a"), T]], "<s>a<turn>"),
        ({"ids": []}, [[]], ""),
        ({"chat": hello()}, [[T, *letters("a"), T]], "<turn>a<turn>"),
        ({"chat": hello("<s>")}, [[T, *letters("<s>"), T]], "<turn><s><turn>"),
    ],
)
def test_tokens(asked: dict[str, Any], rows: list[list[Token]], text: str) -> None:
    assert tokenized(TokenizeInput(**asked), PROMPTS) == TokenizeResult(rows=rows, text=text)


def test_the_first_space_of_tokens_is_the_tokenizers_own() -> None:
    prompts = Letters()
    prompts.vocabulary = Vocabulary([b" a"], {}, lambda _: [], drops_first_space=True)
    prompts.raw = RawLayout(prompts.vocabulary)
    assert tokenized(TokenizeInput(ids=[0, 0]), prompts).text == "a a"


def test_tokens_that_the_model_does_not_have_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"`tokens` has token 258, .* 0 to 257") as refused:
        tokenized(TokenizeInput(ids=[258]), PROMPTS)
    assert refused.value.param == "tokens"


def question(name: str, **asked: Any) -> Job:
    return Job(id=name, model="m", input=TokenizeInput(**asked), deadline_at=0.0)


def test_a_question_takes_no_slot_and_is_answered_with_the_next_step() -> None:
    one = chat(Scripted())
    assert one.admit(job("a"))
    assert one.admit(job("b"))
    assert not one.admit(job("c"))
    assert one.admit(question("q", ids=[0]))
    result = TokenizeResult(rows=[[Token(0, b"a")]], text="a")
    assert one.step() == [Done("q", result)]
    one.drop("a")
    one.drop("b")
    assert one.wait_s() is None


@pytest.mark.parametrize("prompts_apart", [False, True])
def test_a_question_that_is_wrong_is_refused(prompts_apart: bool) -> None:
    one = chat(Scripted(prompts_apart=prompts_apart))
    assert one.admit(question("q", ids=[9]))
    (failed,) = stepped(one)
    assert isinstance(failed, Failed)
    assert failed.error.code == InvalidRequest("").info().code


def test_a_dropped_question_has_no_answer() -> None:
    one = chat(Scripted())
    assert one.admit(question("q", ids=[0]))
    assert one.wait_s() == 0.0
    one.drop("q")
    assert one.wait_s() is None
    assert one.step() == []


def test_a_model_says_that_its_tokenizer_can_be_asked() -> None:
    one = chat(Scripted())
    assert one.load(one._spec, lambda _stage: None).tokenizes
