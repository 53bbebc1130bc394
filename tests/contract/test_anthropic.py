"""Anthropic's official SDK against a running edge-serve and its default models."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from tests.contract.served import Running
from tests.contract.subjects import SMOLLM2

QUESTION: Any = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Köln"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
# Greedy, since what is said is looked at; the SDK has no word for it.
ASKED: Any = {"model": SMOLLM2, "max_tokens": 24, "extra_body": {"temperature": 0}}


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[Anthropic]:
    with Anthropic(base_url=server.url, api_key="unused", max_retries=0) as client:
        yield client


def test_a_message(client: Anthropic) -> None:
    message = client.messages.create(**ASKED, messages=QUESTION)
    (block,) = message.content
    assert block.type == "text"
    assert "Paris" in block.text
    assert (message.role, message.type, message.model) == ("assistant", "message", SMOLLM2)
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert message._request_id is not None
    assert 0 < message.usage.output_tokens <= 24


def test_a_stream_is_the_message(client: Anthropic) -> None:
    """By the SDK's own helper, which puts the message together."""
    with client.messages.stream(**ASKED, messages=QUESTION) as stream:
        texts = list(stream.text_stream)
        message = stream.get_final_message()
    assert len(texts) > 1
    (block,) = message.content
    assert block.type == "text"
    assert block.text == "".join(texts)
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert message.usage.output_tokens > 0


def test_a_stream_tells_the_prompts_tokens_first(client: Anthropic) -> None:
    asked: Any = {"messages": QUESTION, "system": "You are a geographer."}
    counted = client.messages.count_tokens(model=SMOLLM2, **asked)
    first, *_, last, _stop = client.messages.create(**ASKED, **asked, stream=True)
    assert first.type == "message_start"
    assert last.type == "message_delta"
    for usage in (first.message.usage, last.usage):
        assert usage.input_tokens is not None
        assert usage.cache_read_input_tokens is not None
        assert usage.input_tokens + usage.cache_read_input_tokens == counted.input_tokens


CONVERSATION: Any = [
    {"role": "user", "content": "How warm is it in Paris?"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "I have to look.", "signature": ""},
            {"type": "text", "text": "One moment."},
            {
                "type": "tool_use",
                "id": "toolu_1",
                "name": "get_weather",
                "input": {"city": "Paris"},
            },
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "21 degrees"},
            {"type": "text", "text": "Well?"},
        ],
    },
]
PROMPTS: dict[str, Any] = {
    "a question": {"messages": QUESTION},
    "instructions in blocks": {
        "messages": QUESTION,
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
    },
    "instructions in the middle": {
        "messages": [*QUESTION, {"role": "system", "content": "Be brief."}],
        "system": "Be kind.",
    },
    "a beginning": {"messages": [*QUESTION, {"role": "assistant", "content": "It is"}]},
    "calls": {"messages": CONVERSATION, "tools": [WEATHER]},
    "a call that must be made": {
        "messages": QUESTION,
        "tools": [WEATHER],
        "tool_choice": {"type": "any"},
    },
}


@pytest.mark.parametrize("asked", PROMPTS.values(), ids=PROMPTS.keys())
def test_tokens_are_counted_as_they_are_used(client: Anthropic, asked: Any) -> None:
    counted = client.messages.count_tokens(model=SMOLLM2, **asked)
    usage = client.messages.create(model=SMOLLM2, max_tokens=1, **asked).usage
    assert usage.cache_read_input_tokens is not None
    assert counted.input_tokens == usage.input_tokens + usage.cache_read_input_tokens


def test_a_prompt_is_read_ahead(client: Anthropic) -> None:
    asked: Any = {"messages": [{"role": "user", "content": "Tell a story of a bear. " * 20}]}
    read = client.messages.create(model=SMOLLM2, max_tokens=0, **asked)
    assert (read.content, read.usage.output_tokens, read.stop_reason) == ([], 0, "max_tokens")
    counted = client.messages.count_tokens(model=SMOLLM2, **asked)
    assert read.usage.cache_read_input_tokens is not None
    assert read.usage.input_tokens + read.usage.cache_read_input_tokens == counted.input_tokens


def test_the_answer_says_which_stop_sequence_it_was(client: Anthropic) -> None:
    asked: Any = {**ASKED, "messages": QUESTION}
    stops = ["nonsense", "Paris"]
    message = client.messages.create(**asked, stop_sequences=stops)
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "Paris")
    assert "Paris" not in str(message.content)
    with client.messages.stream(**asked, stop_sequences=stops) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == ("stop_sequence", "Paris")


def test_a_tool_is_called_and_its_result_is_used(client: Anthropic) -> None:
    asked: Any = {**ASKED, "max_tokens": 60, "tools": [WEATHER]}
    choice: Any = {"type": "tool", "name": "get_weather"}
    message = client.messages.create(**asked, messages=QUESTION, tool_choice=choice)
    (call,) = message.content
    assert call.type == "tool_use"
    assert (call.name, message.stop_reason) == ("get_weather", "tool_use")
    assert call.id.startswith("toolu_")
    assert call.input["city"] in ("Paris", "Köln")
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}
    turns: Any = [
        *QUESTION,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    answer = client.messages.create(**asked, messages=turns, tool_choice={"type": "none"})
    assert answer.stop_reason in ("end_turn", "max_tokens")
    assert [block.type for block in answer.content] == ["text"]


def test_a_call_is_streamed(client: Anthropic) -> None:
    choice = {"type": "any", "disable_parallel_tool_use": True}
    asked: Any = {"tools": [WEATHER], "tool_choice": choice, "messages": QUESTION}
    given = ""
    with client.messages.stream(**ASKED | {"max_tokens": 60}, **asked) as stream:
        for event in stream:
            if event.type == "input_json":
                given += event.partial_json
        message = stream.get_final_message()
    (call,) = message.content
    assert call.type == "tool_use"
    assert json.loads(given) == call.input
    assert call.input["city"] in ("Paris", "Köln")
    assert message.stop_reason == "tool_use"


def test_an_answer_has_the_form_that_was_asked_for(client: Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"enum": ["Paris", "Rome"]}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    form: Any = {"format": {"type": "json_schema", "schema": schema}}
    message = client.messages.create(**ASKED, messages=QUESTION, output_config=form)
    (block,) = message.content
    assert block.type == "text"
    assert json.loads(block.text)["capital"] in ("Paris", "Rome")


def test_the_models_are_listed(client: Anthropic) -> None:
    assert SMOLLM2 in {model.id for model in client.models.list()}


def test_errors_are_those_of_the_sdk(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.create(model="claude-none", max_tokens=5, messages=QUESTION)
    assert missing.value.type == "not_found_error"
    assert missing.value.request_id is not None
    wrong: Any = [{"role": "tool", "content": "x"}]
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\].role"):
        client.messages.create(**ASKED, messages=wrong)
    long: Any = [{"role": "user", "content": "word " * 20_000}]
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        client.messages.create(**ASKED, messages=long)


def test_an_answer_goes_on_when_its_worker_dies(client: Anthropic, server: Running) -> None:
    story: Any = [{"role": "user", "content": "Tell a long story of a bear."}]
    with client.messages.stream(**ASKED | {"max_tokens": 400}, messages=story) as stream:
        first = next(iter(stream.text_stream))
        os.kill(pid_of(SMOLLM2, server), signal.SIGKILL)
        message = stream.get_final_message()
    (said,) = message.content
    assert said.type == "text"
    assert said.text.startswith(first)
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert 20 < message.usage.output_tokens <= 400
    server.wait_ready()


def pid_of(model: str, server: Running) -> int:
    found = next(one for one in server.models() if one["name"] == model)
    pid: int = found["replicas"][0]["pid"]
    return pid
