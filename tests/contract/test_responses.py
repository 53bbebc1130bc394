"""/v1/responses by the official SDK with its defaults, against a running edge-serve and its default
chat model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseIncompleteEvent,
    ResponseTextDeltaEvent,
)
from pydantic import BaseModel

from tests.contract.served import Running
from tests.contract.subjects import SMOLLM2

QUESTION = "What is the capital of France?"
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class City(BaseModel):
    name: Literal["Paris", "Rome"]
    people: int


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_a_text_is_what_a_chat_says(client: OpenAI) -> None:
    asked: Any = {"model": SMOLLM2, "temperature": 0}
    chat = client.chat.completions.create(
        messages=[{"role": "user", "content": QUESTION}], max_tokens=4, **asked
    )
    response = client.responses.create(input=QUESTION, max_output_tokens=4, **asked)
    assert response.output_text == chat.choices[0].message.content
    assert response.usage is not None
    assert chat.usage is not None
    assert response.usage.input_tokens == chat.usage.prompt_tokens
    assert response.usage.total_tokens == chat.usage.total_tokens
    assert (response.status, response.model) == ("incomplete", SMOLLM2)
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_items_are_a_conversation(client: OpenAI) -> None:
    first = client.responses.create(
        model=SMOLLM2, instructions="Be brief.", input=QUESTION, max_output_tokens=20
    )
    history: Any = [{"role": "user", "content": QUESTION}, *first.output]
    history.append({"role": "user", "content": "Are you sure?"})
    second = client.responses.create(model=SMOLLM2, input=history)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.output_text


def test_a_stream_ends_with_the_whole_response(client: OpenAI) -> None:
    asked: Any = {"model": SMOLLM2, "input": QUESTION, "temperature": 0, "max_output_tokens": 200}
    whole = client.responses.create(**asked)
    events = list(client.responses.create(**asked, stream=True))
    assert [event.sequence_number for event in events] == [*range(len(events))]
    last = events[-1]
    assert isinstance(last, ResponseCompletedEvent)
    deltas = [event.delta for event in events if isinstance(event, ResponseTextDeltaEvent)]
    assert "".join(deltas) == last.response.output_text == whole.output_text
    assert len(deltas) > 1
    for one, other in ((whole, last.response),):
        assert told(one) == told(other)


def told(response: Any) -> dict[str, Any]:
    """What two answers to one question have in common."""
    found: dict[str, Any] = response.to_dict()
    for key in ("id", "created_at"):
        del found[key]
    del found["usage"]["input_tokens_details"]  # the second finds more in the cache
    for item in found["output"]:
        del item["id"]
    return found


def test_the_sdks_stream_knows_every_event(client: OpenAI) -> None:
    with client.responses.stream(model=SMOLLM2, input=QUESTION, temperature=0) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_a_model_of_pydantic(client: OpenAI) -> None:
    parsed = client.responses.parse(
        model=SMOLLM2, input="Name a city and its people.", text_format=City, temperature=0
    ).output_parsed
    assert isinstance(parsed, City)
    with client.responses.stream(
        model=SMOLLM2, input="Name a city and its people.", text_format=City, temperature=0
    ) as stream:
        assert stream.get_final_response().output_parsed == parsed


def test_a_call_and_what_came_of_it(client: OpenAI) -> None:
    items: Any = [{"role": "user", "content": "What is the weather in Rome?"}]
    asked: Any = {"model": SMOLLM2, "tools": [TOOL], "temperature": 0}
    with client.responses.stream(input=items, tool_choice="required", **asked) as stream:
        pieces = [
            event.delta
            for event in stream
            if event.type == "response.function_call_arguments.delta"
        ]
        final = stream.get_final_response()
    calls = [item for item in final.output if isinstance(item, ResponseFunctionToolCall)]
    assert calls
    assert "".join(pieces) == "".join(call.arguments for call in calls)
    assert json.loads(calls[0].arguments)["city"] in ("Paris", "Rome")
    results: Any = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "Dry, 20 degrees."}
        for call in calls
    ]
    history: Any = [*items, *final.output, *results]
    answer = client.responses.create(input=history, tool_choice="none", **asked)
    assert answer.output_text


def test_a_custom_tool_is_called_with_a_text(client: OpenAI) -> None:
    asked: Any = {
        "model": SMOLLM2,
        "input": "Write a short poem.",
        "tools": [{"type": "custom", "name": "write"}],
        "tool_choice": {"type": "custom", "name": "write"},
        "temperature": 0,
        "max_output_tokens": 40,
    }
    (item,) = client.responses.create(**asked).output
    assert item.type == "custom_tool_call"
    assert item.name == "write"
    *_, last = client.responses.create(**asked, stream=True)
    assert isinstance(last, ResponseCompletedEvent | ResponseIncompleteEvent)
    (streamed,) = last.response.output
    assert streamed.type == "custom_tool_call"
    assert streamed.input == item.input


def test_a_prompt_that_is_too_long_is_known_by_its_code(client: OpenAI) -> None:
    asked: Any = {"model": SMOLLM2, "input": "word " * 20_000}
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(**asked, stream=stream)
        assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "input")


def test_an_image_is_refused_by_its_place(client: OpenAI) -> None:
    image: Any = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=SMOLLM2, input=[{"role": "user", "content": [image]}])
    assert refused.value.param == "input[0].content[0]"


def test_a_response_goes_on_from_the_one_before(client: OpenAI, server: Running) -> None:
    asked: Any = {"model": SMOLLM2, "temperature": 0, "max_output_tokens": 4}
    first = client.responses.create(input=QUESTION, **asked)
    second = client.responses.create(input="Are you sure?", previous_response_id=first.id, **asked)
    items: Any = [
        {"role": "user", "content": QUESTION},
        *first.output,
        {"role": "user", "content": "Are you sure?"},
    ]
    by_items = client.responses.create(input=items, store=False, **asked)
    assert second.previous_response_id == first.id
    assert second.output_text == by_items.output_text
    assert second.usage is not None
    assert by_items.usage is not None
    assert second.usage.input_tokens == by_items.usage.input_tokens
    listed = [item.to_dict() for item in client.responses.input_items.list(second.id, order="asc")]
    assert [item["role"] for item in listed] == ["user", "assistant", "user"]
    assert client.responses.retrieve(second.id) == second
    client.responses.delete(first.id)
    for lost in (first.id, by_items.id):
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(lost)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(input="And?", previous_response_id=second.id, **asked)
    assert refused.value.code == "previous_response_not_found"
    stream = httpx2.get(f"{server.url}/v1/responses/{second.id}?stream=true", timeout=30)
    assert stream.status_code == 400
    assert stream.json()["error"]["param"] == "stream"


def test_tokens_are_counted_as_they_are_used(client: OpenAI) -> None:
    first = client.responses.create(model=SMOLLM2, input=QUESTION, max_output_tokens=8)
    for more in ({}, {"previous_response_id": first.id, "instructions": "Be brief."}):
        asked: Any = {"model": SMOLLM2, "input": "And of Spain?", **more}
        counted = client.responses.input_tokens.count(**asked)
        usage = client.responses.create(**asked, max_output_tokens=1).usage
        assert usage is not None
        assert (counted.object, counted.input_tokens) == (
            "response.input_tokens",
            usage.input_tokens,
        )
