"""What a chat may ask for, by its name; and that what an engine lacks is refused by it."""

from __future__ import annotations

from typing import Any

import pytest

from ipc.chat_parameters import PARAMETERS, check_engine
from ipc.engines import ENGINES, Chat, Descriptor
from ipc.messages.errors import UnsupportedParameter
from ipc.messages.jobs import ChatInput, Choice, Message, Sampling, Text, Tool

SAMPLED: dict[str, dict[str, Any]] = {
    "seed": {"seed": 0},
    "stop": {"stop": ["x"]},
    "stop_token_ids": {"stop_token_ids": [0]},
    "ignore_eos": {"ignore_eos": True},
    "min_tokens": {"min_tokens": 1},
    "top_k": {"top_k": 1},
    "min_p": {"min_p": 0.1},
    "presence_penalty": {"presence_penalty": -1.0},
    "frequency_penalty": {"frequency_penalty": 1.0},
    "repetition_penalty": {"repetition_penalty": 0.9},
    "logit_bias": {"logit_bias": {0: 1.0}},
    "logprobs": {"logprobs": 0},
    "n": {"n": 2},
}
ASKED: dict[str, dict[str, Any]] = {
    "tools": {"tools": [Tool(name="f")]},
    "tool_choice": {"must_call": True},
    "response_format": {"form": Choice(texts=["x"])},
    "chat_template_kwargs": {"template_args": {"a": 1}},
    "thinking_token_budget": {"reasoning_tokens": 0},
    "reasoning_format": {"split_reasoning": False},
    "continue_final_message": {"continues_last": True},
    "prompt": {"prompts": [Text("x")]},
    "echo": {"echo": True},
}


def chat(sampled: dict[str, Any], asked: dict[str, Any]) -> ChatInput:
    sampling = Sampling(max_tokens=1, **sampled)
    return ChatInput(messages=[Message("user", "hi")], sampling=sampling, **asked)


def wanted(asked: ChatInput) -> set[str]:
    return {name for name, wants in PARAMETERS.items() if wants(asked)}


@pytest.mark.parametrize("name", [*SAMPLED, *ASKED])
def test_each_parameter_is_known_by_its_name(name: str) -> None:
    assert wanted(chat(SAMPLED.get(name, {}), ASKED.get(name, {}))) == {name}


def test_likely_tokens_are_more_than_those_of_the_answer() -> None:
    assert wanted(chat({"logprobs": 1}, {})) == {"logprobs", "top_logprobs"}
    assert {*SAMPLED, *ASKED, "top_logprobs"} == {*PARAMETERS}


def test_what_asks_for_nothing_is_nothing() -> None:
    assert not wanted(chat({}, {}))


@pytest.mark.parametrize("engine", [name for name, each in ENGINES.items() if each.chat])
def test_what_engines_lack_is_one_of_these(engine: str) -> None:
    chat = ENGINES[engine].chat
    assert chat is not None
    assert {*chat.lacks} <= {*PARAMETERS}


@pytest.mark.parametrize("name", PARAMETERS)
def test_what_an_engine_lacks_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    poor = Chat(lacks=(name,))
    engine = Descriptor(name="poor", serves={}, devices=("cpu",), chat=poor)
    monkeypatch.setitem(ENGINES, "poor", engine)
    check_engine("poor", chat({}, {}))
    everything = {key: value for each in SAMPLED.values() for key, value in each.items()}
    asked = chat(
        {**everything, "logprobs": 3}, {k: v for each in ASKED.values() for k, v in each.items()}
    )
    check_engine("my.own.Engine", asked)
    with pytest.raises(UnsupportedParameter, match=f"engine poor has no {name}; ") as refused:
        check_engine("poor", asked)
    assert refused.value.param == name
