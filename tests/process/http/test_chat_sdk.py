"""Calls, thoughts, log probabilities and several answers, through the official SDK.

`echo` says what it is told to (`worker.engines.echo.chat_pieces`), so the answers are known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.process.box import CHAT, Box, MakeBox, spec

ARGUMENTS = '{"ort": "Köln", "mark": "</call"}'
CALLS = f"<call weather>{ARGUMENTS}</call><call time>{{}}</call>"
WEATHER = {"type": "object", "properties": {"ort": {"type": "string"}}}
TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "time"}},
]


class Weather(BaseModel):
    ort: str
    mark: str


@pytest.fixture(scope="module")
def client(module_box: MakeBox) -> Iterator[OpenAI]:
    box: Box = module_box(spec(CHAT)).wait_ready()
    with OpenAI(base_url=f"{box.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def ask(client: OpenAI, text: str, **fields: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return client.chat.completions.create(model=CHAT, messages=messages, **fields)


def stream(client: OpenAI, text: str, **fields: Any) -> tuple[Any, list[Any]]:
    """The answer as the SDK adds it up, and its events."""
    messages: Any = [{"role": "user", "content": text}]
    with client.chat.completions.stream(model=CHAT, messages=messages, **fields) as told:
        events = list(told)
        return told.get_final_completion(), events


def test_calls_are_the_same_whole_and_streamed(client: OpenAI) -> None:
    text = f"One moment.{CALLS}"
    whole = ask(client, text, tools=TOOLS).choices[0]
    final, events = stream(client, text, tools=TOOLS)
    streamed = final.choices[0]
    assert (whole.finish_reason, streamed.finish_reason) == ("tool_calls", "tool_calls")
    assert whole.message.content == streamed.message.content == "One moment."
    for message in (whole.message, streamed.message):
        assert [(call.id, call.type, call.function.name) for call in message.tool_calls] == [
            ("call_0_0", "function", "weather"),
            ("call_0_1", "function", "time"),
        ]
        assert [call.function.arguments for call in message.tool_calls] == [ARGUMENTS, "{}"]
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [(one.index, json.loads(one.arguments)) for one in done] == [
        (0, json.loads(ARGUMENTS)),
        (1, {}),
    ]


def test_a_call_without_words_has_no_content(client: OpenAI) -> None:
    assert ask(client, CALLS, tools=TOOLS).choices[0].message.content is None
    assert stream(client, CALLS, tools=TOOLS)[0].choices[0].message.content is None
    first = next(iter(ask(client, CALLS, tools=TOOLS, stream=True))).choices[0].delta
    assert (first.role, first.content) == ("assistant", None)


@pytest.mark.parametrize(
    ("choice", "finish"),
    [("required", "tool_calls"), ({"type": "function", "function": {"name": "time"}}, "stop")],
)
def test_who_must_call_does(client: OpenAI, choice: Any, finish: str) -> None:
    fields: Any = {"tools": TOOLS, "tool_choice": choice}
    for answer in (ask(client, "hi", **fields), stream(client, "hi", **fields)[0]):
        assert len(answer.choices[0].message.tool_calls) == 1
        assert answer.choices[0].finish_reason == finish


def test_tools_that_are_ruled_out_are_not_called(client: OpenAI) -> None:
    for fields in ({"tool_choice": "none"}, {"tool_choice": _allowed("time")}):
        message = ask(client, f"<call weather>{ARGUMENTS}</call>", tools=TOOLS, **fields)
        assert message.choices[0].message.tool_calls is None
    one = ask(client, CALLS, tools=TOOLS, parallel_tool_calls=False).choices[0].message
    assert [call.function.name for call in one.tool_calls] == ["weather"]


def _allowed(name: str) -> Any:
    tools = [{"type": "function", "function": {"name": name}}]
    return {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": tools}}


def test_arguments_are_parsed_into_a_model(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": f"<call Weather>{ARGUMENTS}</call>"}]
    answer = client.chat.completions.parse(
        model=CHAT, messages=messages, tools=[openai.pydantic_function_tool(Weather)]
    )
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert len(calls) == 1
    assert calls[0].function.parsed_arguments == Weather(ort="Köln", mark="</call")


@pytest.mark.parametrize(
    "choice", [{"type": "function", "function": {"name": "other"}}, {"type": "custom"}]
)
def test_a_tool_that_is_not_there_cannot_be_chosen(client: OpenAI, choice: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, "hi", tools=TOOLS, tool_choice=choice)
    assert (refused.value.param or "").startswith("tool_choice")


def test_thoughts_go_by_both_names_and_are_counted(client: OpenAI) -> None:
    text = "<think>two words</think>Yes."
    answer = ask(client, text)
    message = answer.choices[0].message.to_dict()
    assert message["reasoning_content"] == message["reasoning"] == "two words"
    assert message["content"] == "Yes."
    assert answer.usage.completion_tokens_details.reasoning_tokens == 2
    deltas = [chunk.choices[0].delta.to_dict() for chunk in ask(client, text, stream=True)]
    for name in ("reasoning_content", "reasoning"):
        assert "".join(delta.get(name) or "" for delta in deltas) == "two words"
    assert deltas[0] == {"role": "assistant", "content": None}
    silent = ask(client, "Yes.")
    assert silent.usage.completion_tokens_details.reasoning_tokens == 0


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({"reasoning_format": "none"}, "<think>two words</think>Yes."),
        ({"include_reasoning": False}, "Yes."),
    ],
)
def test_thoughts_may_be_left_where_they_are_or_out(
    client: OpenAI, fields: dict[str, Any], content: str
) -> None:
    message = ask(client, "<think>two words</think>Yes.", extra_body=fields).choices[0].message
    assert message.content == content
    assert "reasoning" not in message.to_dict()


def test_log_probabilities_of_chunks_are_those_of_the_whole(client: OpenAI) -> None:
    text = "<think>not these</think>Grüße 🎉 an alle"
    fields: Any = {"logprobs": True, "top_logprobs": 2}
    whole = ask(client, text, **fields).choices[0]
    data = bytes(byte for one in whole.logprobs.content for byte in one.bytes)
    assert data.decode() == whole.message.content == "Grüße 🎉 an alle"
    assert all(one.logprob <= 0 and len(one.top_logprobs) == 2 for one in whole.logprobs.content)
    final, events = stream(client, text, **fields)
    assert final.choices[0].logprobs.content == whole.logprobs.content
    assert [event for event in events if event.type == "logprobs.content.done"]


def test_several_answers_begin_and_end_each_by_itself(client: OpenAI) -> None:
    answer = ask(client, f"One moment.{CALLS}", tools=TOOLS, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    one = ask(client, f"One moment.{CALLS}", tools=TOOLS)
    assert answer.usage.completion_tokens == 3 * one.usage.completion_tokens
    assert answer.usage.prompt_tokens == one.usage.prompt_tokens
    final, _ = stream(client, f"One moment.{CALLS}", tools=TOOLS, n=3)
    for choice in (*answer.choices, *final.choices):
        assert choice.finish_reason == "tool_calls"
        assert [call.function.arguments for call in choice.message.tool_calls] == [ARGUMENTS, "{}"]
