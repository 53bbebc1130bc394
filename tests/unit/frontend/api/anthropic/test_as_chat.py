"""Requests for messages in the words of a chat, and what is refused in the client's own."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.api.anthropic.as_chat import AsChat, message_as_chat
from frontend.api.anthropic.request import MessagesRequest, PromptRequest, parse
from frontend.api.openai.chat_request import ChatRequest
from frontend.api.translated import chat_of
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ChatInput, Json, Tool
from tests.unit.frontend.http_fakes import CHAT

HI = [{"role": "user", "content": "hi"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "In a city.", "input_schema": SCHEMA}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
FORM = {"type": "json_schema", "schema": SCHEMA}
AS_TEXT = '{"type":"object","properties":{"city":{"type":"string"}}}'


def read(body: dict[str, Any], reasons: bool = False) -> AsChat:
    return message_as_chat(parse(MessagesRequest, body), reasons=reasons)


def as_chat(reasons: bool = False, **more: Any) -> AsChat:
    return read({"model": "org/chat", "messages": HI, "max_tokens": 50, **more}, reasons)


def chat(reasons: bool = False, **more: Any) -> ChatRequest:
    return chat_of(*as_chat(reasons, **more))


def wanted(reasons: bool = False, **more: Any) -> ChatInput:
    return chat(reasons, **more).to_input(CHAT, [])


def test_how_an_answer_is_drawn() -> None:
    sampling = wanted(temperature=0.5, top_p=0.9, top_k=40, stop_sequences=["a", "b"]).sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.top_k) == (
        *(50, 0.5, 0.9),
        40,
    )
    assert sampling.stop == ["a", "b"]


def test_the_models_own_limit_holds_for_a_larger_one() -> None:
    assert wanted(max_tokens=64_000).sampling.max_tokens == CHAT.max_new_tokens


def test_where_no_answer_is_wanted_one_token_is_written() -> None:
    assert wanted(max_tokens=0).sampling.max_tokens == 1


def test_tools_are_functions_and_those_of_servers_are_left_out() -> None:
    asked = wanted(tools=[SEARCH, WEATHER | {"type": "custom", "strict": True, "defer_loading": 1}])
    tool = Tool(name="weather", description="In a city.", parameters=AS_TEXT, strict=True)
    assert asked.tools == [tool]
    assert not asked.must_call
    assert asked.parallel_calls


@pytest.mark.parametrize(
    ("choice", "offered", "must_call", "parallel"),
    [
        ({"type": "auto"}, 2, False, True),
        ({"type": "auto", "disable_parallel_tool_use": True}, 2, False, False),
        ({"type": "any"}, 2, True, True),
        ({"type": "tool", "name": "clock"}, 1, True, False),
        ({"type": "none"}, 0, False, True),
    ],
)
def test_the_choice_of_a_tool(
    choice: dict[str, Any], offered: int, must_call: bool, parallel: bool
) -> None:
    clock = {"name": "clock", "input_schema": {"type": "object"}}
    asked = wanted(tools=[WEATHER, clock], tool_choice=choice)
    assert len(asked.tools) == offered
    assert (asked.must_call, asked.parallel_calls) == (must_call, parallel)


@pytest.mark.parametrize(
    ("reasons", "more", "arguments", "tokens"),
    [
        (False, {}, {}, None),
        (True, {}, {"enable_thinking": False, "thinking": False}, None),
        (
            True,
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            {"enable_thinking": True, "thinking": True},
            1024,
        ),
        (
            False,
            {"thinking": {"type": "disabled"}},
            {"enable_thinking": False, "thinking": False},
            None,
        ),
        (True, {"thinking": {"type": "adaptive", "display": "omitted"}}, {}, None),
        (
            True,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            {"enable_thinking": True, "thinking": True, "reasoning_effort": "low"},
            None,
        ),
        (
            True,
            {"output_config": {"effort": "max"}},
            {"enable_thinking": False, "thinking": False, "reasoning_effort": "max"},
            None,
        ),
    ],
)
def test_whether_it_thinks(
    reasons: bool, more: dict[str, Any], arguments: dict[str, Any], tokens: int | None
) -> None:
    asked = wanted(reasons, **more)
    assert (asked.template_args, asked.reasoning_tokens) == (arguments, tokens)


@pytest.mark.parametrize("more", [{"output_config": {"format": FORM}}, {"output_format": FORM}])
def test_the_form_of_an_answer(more: dict[str, Any]) -> None:
    assert wanted(**more).form == Json(schema=AS_TEXT)


def test_an_answer_goes_on_with_the_last_message() -> None:
    asked = wanted(messages=[*HI, {"role": "assistant", "content": "The answer is ("}])
    assert asked.continues_last
    assert asked.messages[-1].text == "The answer is ("


def test_keys_that_nobody_here_knows_are_skipped_everywhere() -> None:
    odd: dict[str, Any] = {
        "cache_control": {"type": "ephemeral", "scope": "global"},
        "citations": [],
        "odd": 1,
    }
    inner = [{"type": "text", "text": "a", **odd}]
    content = [
        {"type": "text", "text": "hi", **odd},
        {"type": "tool_result", "tool_use_id": "t", "content": inner, **odd},
    ]
    asked = wanted(
        messages=[{"role": "user", "content": content, **odd}],
        tools=[WEATHER | odd | {"input_examples": [{}], "eager_input_streaming": True}],
        tool_choice={"type": "auto", **odd},
        thinking={"type": "adaptive", **odd},
        output_config={"effort": None, **odd},
        metadata={"user_id": "user_1"},
        context_management={"edits": []},
        betas=["x"],
        **odd,
    )
    assert [message.text for message in asked.messages] == ["a", "hi"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "x"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a\0"}]}]},
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            "messages[0].content[0].tool_use_id",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a"}]}]},
            "messages[0].content[0].name",
        ),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": ["x"] * 17}, "stop_sequences"),
        ({"temperature": 3}, "temperature"),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "a"}]}, "tools[0].input_schema"),
        ({"tools": [SEARCH, WEATHER, WEATHER]}, "tools[2].name"),
        (
            {"tools": [SEARCH, {"name": "a", "input_schema": {"const": "a\0"}}]},
            "tools[1].input_schema",
        ),
        ({"tools": [SEARCH], "tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "required"}}, "tool_choice.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "much"}}, "thinking.type"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": FORM}, "output_format": FORM}, "output_format"),
    ],
)
def test_what_is_wrong_is_told_by_the_clients_names(more: dict[str, Any], param: str) -> None:
    body = {"model": "org/chat", "messages": HI, "max_tokens": 5}
    changed = {key: value for key, value in {**body, **more}.items() if value is not None}
    with pytest.raises(InvalidRequest) as refused:
        chat_of(*read(changed))
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("more", "param"),
    [
        (
            {"messages": [{"role": "user", "content": [{"type": "document"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
                    }
                ]
            },
            "messages[0].content[0].source.type",
        ),
        ({"mcp_servers": [{"url": "https://x", "name": "x", "type": "url"}]}, "mcp_servers"),
        ({"container": {"skills": []}}, "container"),
    ],
)
def test_what_nobody_here_does_is_refused_by_its_name(more: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        as_chat(**more)
    assert refused.value.param == param


def test_what_asks_for_nothing_is_not_refused() -> None:
    as_chat(mcp_servers=[], container=None)


def test_tokens_are_counted_without_what_only_an_answer_has() -> None:
    parse(PromptRequest, {"model": "org/chat", "messages": HI})
