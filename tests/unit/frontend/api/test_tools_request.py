"""What an answer may call, by all the ways in which clients say it."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.api.openai.chat_request import parse_chat
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import ChatInput, Tool
from tests.unit.frontend.http_fakes import CHAT

SCHEMA = {"type": "object", "properties": {"ort": {"const": "Köln"}}}
WEATHER = {"name": "weather", "description": "of a place", "parameters": SCHEMA, "strict": True}
TIME = {"name": "time"}
TOOLS = [{"type": "function", "function": function} for function in (WEATHER, TIME)]
THE_WEATHER = Tool(
    name="weather",
    description="of a place",
    parameters='{"type":"object","properties":{"ort":{"const":"Köln"}}}',
    strict=True,
)
THE_TIME = Tool(name="time")


def chat(**fields: Any) -> ChatInput:
    messages = [{"role": "user", "content": "hi"}]
    return parse_chat({"model": "org/chat", "messages": messages, **fields}).to_input(CHAT, [])


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [named(name) for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize(
    ("choice", "tools", "must_call", "parallel"),
    [
        (None, [THE_WEATHER, THE_TIME], False, True),
        ("auto", [THE_WEATHER, THE_TIME], False, True),
        ("none", [], False, True),
        ("required", [THE_WEATHER, THE_TIME], True, True),
        (named("time"), [THE_TIME], True, False),
        (allowed("auto", "time"), [THE_TIME], False, True),
        (allowed("required", "time", "weather", "time"), [THE_TIME, THE_WEATHER], True, True),
        (allowed("auto"), [], False, True),
    ],
)
def test_a_choice_says_what_may_be_called(
    choice: Any, tools: list[Tool], must_call: bool, parallel: bool
) -> None:
    asked = chat(tools=TOOLS, tool_choice=choice)
    assert (asked.tools, asked.must_call, asked.parallel_calls) == (tools, must_call, parallel)


def test_calls_side_by_side_can_be_ruled_out() -> None:
    assert chat(tools=TOOLS, parallel_tool_calls=True).parallel_calls
    assert not chat(tools=TOOLS, parallel_tool_calls=False).parallel_calls


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({}, {}),
        ({"function_call": "auto"}, {"tool_choice": "auto"}),
        ({"function_call": "none"}, {"tool_choice": "none"}),
        ({"function_call": {"name": "time"}}, {"tool_choice": named("time")}),
    ],
)
def test_the_form_before_tools_says_the_same(older: dict[str, Any], newer: dict[str, Any]) -> None:
    assert chat(functions=[WEATHER, TIME], **older) == chat(tools=TOOLS, **newer)


def test_without_tools_there_is_nothing_to_call() -> None:
    assert chat(tools=[], tool_choice="auto") == chat(functions=[], function_call="none") == chat()


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        (
            {"tools": TOOLS, "tool_choice": named("other")},
            "tool_choice",
            "`tool_choice.function.name` must be the name of one of `tools`",
        ),
        (
            {"tools": TOOLS, "tool_choice": allowed("auto", "time", "other")},
            "tool_choice",
            "`tool_choice.allowed_tools.tools[1].function.name` must be the name of one of `tools`",
        ),
        (
            {"tools": TOOLS, "tool_choice": allowed("required")},
            "tool_choice",
            "`tool_choice.allowed_tools.tools` must name a tool for the mode 'required'",
        ),
        (
            {"tool_choice": "required"},
            "tool_choice",
            "`tool_choice` 'required' needs `tools` to choose from",
        ),
        (
            {"tool_choice": {"type": "function"}},
            "tool_choice.function",
            "`tool_choice.function` is required",
        ),
        (
            {"functions": [TIME], "function_call": {"name": "other"}},
            "function_call",
            "`function_call.name` must be the name of one of `tools`",
        ),
        (
            {"functions": [TIME], "tools": TOOLS},
            "functions",
            "`functions` is the older name of `tools`; send either",
        ),
        (
            {"functions": [TIME, TIME]},
            "functions[1].name",
            "`functions[1].name` must differ from other tools' names",
        ),
        (
            {"tools": [{"type": "function", "function": {**TIME, "parameters": {"a": "\0"}}}]},
            "tools[0].function.parameters",
            "`tools[0].function.parameters` must not contain NUL characters",
        ),
        (
            {"tools": TOOLS, "tool_choice": {"type": "custom", "custom": {"name": "time"}}},
            "tool_choice.type",
            "`tool_choice.type` must be 'function': no other type is supported",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(
    fields: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        chat(**fields)
    assert (refused.value.param, refused.value.message) == (param, message)
