"""What is asked of /v1/responses, as the job of a chat; refusals are in the client's words."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.api.responses.request import ResponseRequest
from frontend.api.validate import check
from ipc.messages.errors import InvalidRequest, ServeError, UnsupportedParameter
from ipc.messages.jobs import ChatInput, Json, Tool
from tests.unit.frontend.http_fakes import CHAT

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
WEATHER = {"type": "function", "name": "weather", "parameters": SCHEMA, "description": "Rain?"}
PATCH = {"type": "custom", "name": "patch"}
SEARCH = {"type": "web_search", "external_web_access": False}
NAMESPACE = {"type": "namespace", "name": "agents", "tools": [WEATHER]}


def request(**more: Any) -> ResponseRequest:
    return check(ResponseRequest, {"model": "org/chat", "input": "Hello", **more})


def job(**more: Any) -> ChatInput:
    return request(**more).to_chat().chat.to_input(CHAT, [])


def refused(**more: Any) -> ServeError:
    with pytest.raises(InvalidRequest) as found:
        job(**more)
    return found.value


def test_the_limit_is_that_of_a_chat() -> None:
    assert job(max_output_tokens=7).sampling.max_tokens == 7
    assert job(max_output_tokens=7, max_tokens=9).sampling.max_tokens == 7
    assert job(max_output_tokens=-1).sampling.max_tokens == CHAT.max_new_tokens
    assert job().sampling.max_tokens == CHAT.max_new_tokens


def test_sampling_has_the_words_of_a_chat() -> None:
    sampling = job(temperature=0, top_p=0.5, seed=3, stop=["x"], logit_bias={"7": 1}).sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed) == (0, 0.5, 3)
    assert (sampling.stop, sampling.logit_bias) == (["x"], {7: 1.0})


def test_tools_are_flat_and_strict_unless_they_say_otherwise() -> None:
    loose = {"type": "function", "name": "loose", "strict": False, "parameters": None}
    first, second = job(tools=[WEATHER, loose]).tools
    assert first == Tool(
        name="weather",
        description="Rain?",
        parameters='{"type":"object","properties":{"n":{"type":"integer"}}}',
        strict=True,
    )
    assert second == Tool(name="loose", strict=False)


def test_a_custom_tool_is_a_function_with_one_text() -> None:
    (tool,) = job(tools=[PATCH | {"format": {"type": "text"}}]).tools
    assert (tool.name, tool.strict) == ("patch", True)
    assert tool.parameters == (
        '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],'
        '"additionalProperties":false}'
    )
    assert request(tools=[PATCH, WEATHER]).custom_tools == {"patch"}


def test_tools_of_other_kinds_are_skipped_and_said_to_be_missing() -> None:
    asked = request(tools=[SEARCH, WEATHER, NAMESPACE, {"type": "mcp", "server_label": "x"}])
    assert [tool.name for tool in asked.to_chat().chat.to_input(CHAT, []).tools] == ["weather"]
    assert [tool["name"] for tool in asked.told(CHAT)["tools"]] == ["weather"]


@pytest.mark.parametrize(
    ("choice", "offered", "must"),
    [
        (None, ["weather", "patch"], False),
        ("auto", ["weather", "patch"], False),
        ("required", ["weather", "patch"], True),
        ("none", [], False),
        ({"type": "function", "name": "weather"}, ["weather"], True),
        ({"type": "custom", "name": "patch"}, ["patch"], True),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "mcp"}, {"type": "custom", "name": "patch"}],
            },
            ["patch"],
            True,
        ),
    ],
)
def test_a_choice_is_among_the_tools(choice: Any, offered: list[str], must: bool) -> None:
    found = job(tools=[SEARCH, WEATHER, PATCH], tool_choice=choice)
    assert ([tool.name for tool in found.tools], found.must_call) == (offered, must)


def test_a_form_is_flat() -> None:
    named = {"type": "json_schema", "name": "n", "schema": SCHEMA}
    schema = '{"type":"object","properties":{"n":{"type":"integer"}}}'
    assert job(text={"format": named, "verbosity": "low"}).form == Json(schema=schema)
    loose = named | {"strict": False}
    assert job(text={"format": loose}).form == Json(schema=schema, strict=False)
    assert job(text={"format": {"type": "json_object"}}).form == Json(schema='{"type":"object"}')
    assert job(text={"format": {"type": "text"}}).form is None
    assert job(text={}).form is None


def test_reasoning_is_a_wish_of_its_own() -> None:
    found = job(reasoning={"effort": "low", "summary": "auto"})
    assert found.template_args == {
        "enable_thinking": True,
        "thinking": True,
        "reasoning_effort": "low",
    }
    assert job(reasoning={"effort": "none"}).template_args["enable_thinking"] is False
    assert request(reasoning={"summary": "auto"}).summarizes
    assert not request(reasoning={"effort": "low"}).summarizes


@pytest.mark.parametrize(
    ("asked", "logprobs"),
    [
        ({}, None),
        ({"include": ["reasoning.encrypted_content"]}, None),
        ({"include": ["message.output_text.logprobs"]}, 0),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 3}, 3),
        ({"top_logprobs": 3}, 3),
        ({"top_logprobs": 0}, None),
    ],
)
def test_log_probabilities_are_told_where_they_are_asked_for(
    asked: dict[str, Any], logprobs: int | None
) -> None:
    assert job(**asked).sampling.logprobs == logprobs


def test_the_answer_repeats_what_holds() -> None:
    told = request(
        instructions="Be kind.",
        max_output_tokens=9,
        metadata={"of": "me"},
        reasoning={"effort": "low"},
        tool_choice={"type": "function", "name": "weather"},
        tools=[WEATHER],
        top_p=0.5,
        text={"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
    ).told(CHAT)
    assert told == {
        "instructions": "Be kind.",
        "max_output_tokens": 9,
        "metadata": {"of": "me"},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": True,
        "reasoning": {"effort": "low", "summary": None},
        "temperature": CHAT.defaults.temperature,
        "text": {
            "format": {
                "type": "json_schema",
                "name": "n",
                "description": None,
                "schema": SCHEMA,
                "strict": True,
            }
        },
        "tool_choice": {"type": "function", "name": "weather"},
        "tools": [WEATHER | {"strict": True}],
        "top_logprobs": 0,
        "top_p": 0.5,
    }


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": None}, "input"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"tools": [SEARCH, {"type": "function", "name": "a b"}]}, "tools[1].name"),
        ({"tools": [SEARCH, WEATHER, WEATHER]}, "tools[2].name"),
        ({"tools": [{"name": 3}]}, "tools[0].type"),
        ({"tool_choice": "required", "tools": [SEARCH]}, "tool_choice"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "x"}, "tools": [WEATHER]}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"n": 2}, "n"),
        ({"reasoning": {"effort": "much"}}, "reasoning.effort"),
        ({"chat_template_kwargs": {"messages": "x"}}, "chat_template_kwargs.messages"),
    ],
)
def test_what_is_wrong_is_told_by_its_own_name(asked: dict[str, Any], param: str) -> None:
    assert refused(**asked).param == param


def test_a_form_that_is_named_in_an_error_has_the_clients_name() -> None:
    asked = {"tools": [SEARCH, WEATHER], "text": {"format": {"type": "json_object"}}}
    chat, names = request(**asked).to_chat()
    told = [names.get(form.param.removesuffix(".parameters")) for form in chat.bound_forms()]
    assert told == ["text.format", "tools[1]"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("background", True),
        ("conversation", "conv_1"),
        ("prompt", {"id": "pmpt_1"}),
        ("context_management", [{"type": "compaction"}]),
        ("messages", [{"role": "user", "content": "x"}]),
        ("response_format", {"type": "json_object"}),
        ("best_of", 2),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(key: str, value: Any) -> None:
    error = refused(**{key: value})
    assert isinstance(error, UnsupportedParameter)
    assert error.param == key


def test_the_grammar_of_a_custom_tool_is_refused() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}
    error = refused(tools=[PATCH | {"format": grammar}])
    assert (type(error), error.param) == (UnsupportedParameter, "tools[0].format")
