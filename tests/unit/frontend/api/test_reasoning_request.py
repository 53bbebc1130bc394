"""Whether a model is to think, in the words of half a dozen servers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from frontend.api.openai.chat_request import ChatRequest, parse_chat
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ChatInput
from ipc.messages.spec import Loaded, Spec
from ipc.messages.state import ModelState
from tests.unit.frontend.http_fakes import CHAT, FakeDispatcher, application, says

ON = {"enable_thinking": True, "thinking": True}
OFF = {"enable_thinking": False, "thinking": False}


def parsed(**fields: Any) -> ChatRequest:
    messages = [{"role": "user", "content": "hi"}]
    return parse_chat({"model": "org/chat", "messages": messages, **fields})


def chat(**fields: Any) -> ChatInput:
    return parsed(**fields).to_input(CHAT, [])


@pytest.mark.parametrize(
    ("fields", "arguments"),
    [
        ({}, {}),
        ({"reasoning_effort": None}, {}),
        ({"reasoning_effort": "none"}, OFF),
        ({"reasoning_effort": "low"}, {**ON, "reasoning_effort": "low"}),
        ({"reasoning_effort": "max"}, {**ON, "reasoning_effort": "max"}),
        ({"reasoning": {"effort": "high"}}, {**ON, "reasoning_effort": "high"}),
        ({"reasoning": {"enabled": False}}, OFF),
        ({"think": True}, ON),
        ({"think": "medium"}, {**ON, "reasoning_effort": "medium"}),
        ({"thinking": False}, OFF),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, ON),
        ({"thinking": {"type": "disabled"}}, OFF),
        ({"thinking": {"type": "adaptive"}}, {}),
        ({"enable_thinking": False}, OFF),
        ({"enable_thinking": False, "reasoning_effort": "low"}, {**OFF, "reasoning_effort": "low"}),
        ({"think": False, "thinking": True}, OFF),
        (
            {
                "chat_template_kwargs": {
                    "enable_thinking": False,
                    "a": 1,
                    "b": 0.5,
                    "c": "x",
                    "d": None,
                }
            },
            {"enable_thinking": False, "a": 1, "b": 0.5, "c": "x"},
        ),
        (
            {"think": True, "chat_template_kwargs": {"enable_thinking": False}},
            {"enable_thinking": False, "thinking": True},
        ),
    ],
)
def test_wishes_become_keywords_of_the_template(
    fields: dict[str, Any], arguments: dict[str, Any]
) -> None:
    assert chat(**fields).template_args == arguments


def test_whole_numbers_stay_whole() -> None:
    (number,) = chat(chat_template_kwargs={"a": 1}).template_args.values()
    assert isinstance(number, int)


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, None),
        ({"thinking_token_budget": 64}, 64),
        ({"thinking_budget_tokens": 64}, 64),
        ({"reasoning_budget": 0}, 0),
        ({"reasoning_budget": -1}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 64}}, 64),
        ({"reasoning": {"max_tokens": 64}}, 64),
        ({"thinking_token_budget": -1, "reasoning_budget": 64}, None),
    ],
)
def test_a_budget_has_many_names(fields: dict[str, Any], tokens: int | None) -> None:
    assert chat(**fields).reasoning_tokens == tokens


@pytest.mark.parametrize(
    ("fields", "splits", "shows"),
    [
        ({}, True, True),
        ({"reasoning_format": "deepseek"}, True, True),
        ({"reasoning_format": "none"}, False, True),
        ({"reasoning_format": "raw"}, False, True),
        ({"separate_reasoning": False}, False, True),
        ({"reasoning_format": "hidden"}, True, False),
        ({"include_reasoning": False}, True, False),
        ({"reasoning": {"exclude": True}}, True, False),
    ],
)
def test_what_becomes_of_it_is_the_clients_choice(
    fields: dict[str, Any], splits: bool, shows: bool
) -> None:
    asked = parsed(**fields)
    assert (asked.to_input(CHAT, []).split_reasoning, asked.shows_reasoning) == (splits, shows)


def test_an_answer_may_go_on_with_the_last_message() -> None:
    assert not chat().continues_last
    assert chat(continue_final_message=True).continues_last
    assert chat(continue_final_message=True, add_generation_prompt=False).continues_last


@pytest.mark.parametrize("name", ["messages", "tools", "bos_token", "add_generation_prompt"])
def test_what_the_server_gives_a_template_is_not_the_clients(name: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        chat(chat_template_kwargs={name: "x"})
    assert refused.value.param == f"chat_template_kwargs.{name}"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning_effort": "much"}, "reasoning_effort"),
        ({"think": "much"}, "think"),
        ({"thinking": {"type": "much"}}, "thinking.type"),
        ({"reasoning_format": "deepseek-legacy"}, "reasoning_format"),
        ({"thinking_token_budget": -2}, "thinking_token_budget"),
        ({"chat_template_kwargs": {"a": [1]}}, "chat_template_kwargs.a"),
        ({"chat_template_kwargs": {"a b": 1}}, "chat_template_kwargs.a b"),
        ({"chat_template_kwargs": {"a": "\0"}}, "chat_template_kwargs.a"),
        (
            {"continue_final_message": True, "add_generation_prompt": True},
            "continue_final_message",
        ),
        ({"add_generation_prompt": False}, "add_generation_prompt"),
    ],
)
def test_what_is_not_understood_is_told_with_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        chat(**fields)
    assert refused.value.param == param


class Reasoning(FakeDispatcher):
    """With a model that reasons."""

    def state(self, name: str) -> ModelState:
        loaded = Loaded(device="cpu", reasoning=True)
        return msgspec.structs.replace(super().state(name), loaded=loaded)


@pytest.mark.parametrize(("dispatcher", "usual"), [(FakeDispatcher, 512), (Reasoning, 2048)])
@pytest.mark.parametrize("named", [None, 7])
def test_a_model_that_reasons_may_write_more_where_nobody_says_how_much(
    dispatcher: type[FakeDispatcher], usual: int, named: int | None
) -> None:
    fake = dispatcher(says("hello"))
    fake.specs["m"] = Spec(name="m", task="chat", engine="x", path="")
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": named}
    with TestClient(application(fake)) as client:
        assert client.post("/v1/chat/completions", json=asked).is_success
    assert [one.sampling.max_tokens for one in fake.asked] == [named or usual]
