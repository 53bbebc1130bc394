"""What `command` makes of llama.cpp's own server: what it is asked, it does, or is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ipc.messages.errors import UnsupportedParameter
from ipc.messages.events import ChatResult
from ipc.messages.jobs import (
    ChatInput,
    Choice,
    Fill,
    Form,
    Gbnf,
    Job,
    Json,
    Message,
    Regex,
    Sampling,
    Text,
    Tokens,
    Tool,
)
from tests.contract.driver import Driver, job
from tests.contract.subjects import CHAT_MODELS, Bench, Subject

SUBJECT = next(each for each in CHAT_MODELS if each.engine == "command")
HELLO = [Message("user", "Say hello.")]
CITY = Json(
    schema='{"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}}, '
    '"required": ["name"], "additionalProperties": false}'
)


@pytest.fixture
def driver(load: Callable[[Subject], Bench]) -> Driver:
    return Driver(load(SUBJECT).engine)


def asked(sampling: dict[str, Any] | None = None, **said: Any) -> Job:
    picked = Sampling(**{"max_tokens": 40, "temperature": 0.0, **(sampling or {})})
    if "prompts" not in said:
        said = {"messages": HELLO, **said}
    return job(ChatInput(sampling=picked, **said))


def answered(driver: Driver, one: Job) -> ChatResult:
    driver.run(one)
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    return result


def texts(driver: Driver, one: Job, choices: int) -> list[str]:
    deltas = driver.deltas(one)
    return ["".join(each.text for each in deltas if each.choice == at) for at in range(choices)]


def test_several_choices_are_counted_together(driver: Driver) -> None:
    one = asked({"n": 3, "temperature": 0.8, "max_tokens": 4, "ignore_eos": True})
    result = answered(driver, one)
    assert [result.finish, *result.others] == ["length"] * 3
    assert result.usage.completion_tokens == 12
    assert all(texts(driver, one, 3))


@pytest.mark.parametrize("many", [0, 2])
def test_log_probabilities_are_those_of_the_text(driver: Driver, many: int) -> None:
    for one in (
        asked({"logprobs": many, "max_tokens": 5}),
        asked({"logprobs": many, "max_tokens": 5}, prompts=[Text("The capital of France is")]),
    ):
        answered(driver, one)
        found = [token for delta in driver.deltas(one) for token in delta.logprobs or ()]
        assert b"".join(token.data for token in found).decode() == driver.text(one)
        assert all(token.logprob <= 0 and len(token.top) == many for token in found)


def test_a_bias_forbids_a_token(driver: Driver) -> None:
    one = asked({"logprobs": 0, "max_tokens": 1})
    answered(driver, one)
    ((first,),) = [delta.logprobs or [] for delta in driver.deltas(one)]
    other = asked({"logit_bias": {first.id: -100.0}, "max_tokens": 1})
    answered(driver, other)
    assert driver.text(other) != driver.text(one)


@pytest.mark.parametrize(
    "form", [Choice(texts=['yes "x"', "no\\"]), Gbnf(text='root ::= "a" | "b"')]
)
def test_a_grammar_is_kept(driver: Driver, form: Form) -> None:
    one = asked(form=form)
    assert answered(driver, one).finish == "stop"
    assert driver.text(one) in ({"a", "b"} if isinstance(form, Gbnf) else {'yes "x"', "no\\"})


@pytest.mark.parametrize("prompts", [[], [Text("A city as JSON:")]])
def test_a_schema_is_kept(driver: Driver, prompts: list[Any]) -> None:
    one = asked({"max_tokens": 100}, form=CITY, **({"prompts": prompts} if prompts else {}))
    assert answered(driver, one).finish == "stop"
    assert set(json.loads(driver.text(one))) == {"name"}


def test_prompts_have_choices_of_their_own(driver: Driver) -> None:
    prompts = [Text("The capital of France is"), Text("One two three")]
    one = asked({"n": 2, "temperature": 0.5, "max_tokens": 3, "ignore_eos": True}, prompts=prompts)
    result = answered(driver, one)
    assert [result.finish, *result.others] == ["length"] * 4
    assert result.usage.completion_tokens == 12
    assert result.usage.prompt_tokens == 5 + 3
    assert all(texts(driver, one, 4))


def test_a_prompt_may_be_tokens(driver: Driver) -> None:
    one = asked({"max_tokens": 3}, prompts=[Tokens(ids=[504, 3575, 282, 4649, 314])])
    assert answered(driver, one).usage.prompt_tokens == 5


@pytest.mark.parametrize(
    ("one", "param"),
    [
        (asked(form=Regex(pattern="a+")), "structured_outputs.regex"),
        (asked(prompts=[Text("a")], echo=True), "echo"),
        # SmolLM2's template has no tools, which its server says nothing of.
        (asked(tools=[Tool(name="f")], must_call=True), "tool_choice"),
        # And its vocabulary no tokens for gaps, of which it does.
        (asked(prompts=[Fill(prefix="def f(", suffix="return 1")]), None),
    ],
)
def test_what_it_cannot_do_is_refused(driver: Driver, one: Job, param: str | None) -> None:
    error = driver.refused(one)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param


def test_an_answer_goes_on_with_the_last_message(driver: Driver) -> None:
    turns = [*HELLO, Message("assistant", "The capital of France is")]
    one = asked({"max_tokens": 3}, messages=turns, continues_last=True)
    answered(driver, one)
    assert "Paris" in driver.text(one)
