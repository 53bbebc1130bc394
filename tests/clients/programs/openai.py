# /// script
# dependencies = ["openai==3.57.0"]
# [tool.edge-serve]
# models = ["chat-completion", "tools"]
# ///
"""OpenAI's own library for Python: `parse`, the helper for streams, a loop of tools."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Literal

import openai
from openai import OpenAI
from pydantic import BaseModel, Field

# Bounded, so that an answer ends before its tokens do, whatever the model says.
Name = Annotated[str, Field(max_length=20)]


class Person(BaseModel):
    name: Name
    born_in: Name | None


class Book(BaseModel):
    """Nested, and with all that `parse` makes of a model: references, a null, an enumeration."""

    title: Name
    kind: Literal["novel", "poem"]
    authors: Annotated[list[Person], Field(max_length=2)]


class GetWeather(BaseModel):
    """The weather of a city."""

    city: Name
    days: int


QUESTION: list[Any] = [{"role": "user", "content": "How is the weather in Paris for two days?"}]
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


def main(url: str, name: str, caller: str) -> None:
    client: Any = OpenAI(base_url=url, api_key="unused", max_retries=0)
    parse_into_a_model(client, name)
    parse_a_call(client, name)
    stream_a_model(client, name)
    stream_a_call(client, name)
    loop(client, name)
    call_at_will(client, caller)
    wait(client, name)


def parse_into_a_model(client: Any, name: str) -> None:
    asked: list[Any] = [{"role": "user", "content": "Name a book."}]
    answer = client.chat.completions.parse(
        model=name, messages=asked, response_format=Book, temperature=0, max_tokens=400
    )
    assert isinstance(answer.choices[0].message.parsed, Book), answer
    options: dict[str, Any] = {"model": name, "messages": asked, "response_format": Book}
    try:
        client.chat.completions.parse(**options, max_tokens=5)
    except openai.LengthFinishReasonError:
        return
    raise AssertionError("an answer that is cut off must not parse")


def parse_a_call(client: Any, name: str) -> None:
    answer = client.chat.completions.parse(
        model=name,
        messages=QUESTION,
        tools=[openai.pydantic_function_tool(GetWeather)],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        max_tokens=200,
    )
    (call,) = answer.choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, GetWeather), call
    assert answer.choices[0].finish_reason == "tool_calls", answer


def stream_a_model(client: Any, name: str) -> None:
    with client.chat.completions.stream(
        model=name,
        messages=[{"role": "user", "content": "Name a book."}],
        response_format=Book,
        temperature=0,
        max_tokens=400,
        stream_options={"include_usage": True},
    ) as stream:
        events = list(stream)
        answer = stream.get_final_completion()
    text = "".join(event.delta for event in events if event.type == "content.delta")
    (done,) = [event for event in events if event.type == "content.done"]
    assert done.content == text == answer.choices[0].message.content, (done, text)
    assert isinstance(done.parsed, Book), done
    assert answer.usage.completion_tokens > 0, answer


def stream_a_call(client: Any, name: str) -> None:
    with client.chat.completions.stream(
        model=name,
        messages=QUESTION,
        tools=[openai.pydantic_function_tool(GetWeather)],
        tool_choice={"type": "function", "function": {"name": "GetWeather"}},
        temperature=0,
        max_tokens=200,
    ) as stream:
        events = list(stream)
        answer = stream.get_final_completion()
    kind = "tool_calls.function.arguments"
    pieces = "".join(event.arguments_delta for event in events if event.type == f"{kind}.delta")
    (done,) = [event for event in events if event.type == f"{kind}.done"]
    assert isinstance(done.parsed_arguments, GetWeather), done
    (call,) = answer.choices[0].message.tool_calls
    assert pieces == done.arguments == call.function.arguments, (pieces, done, call)


def loop(client: Any, name: str) -> None:
    """A tool must be called once, and its result makes the answer."""
    messages: list[Any] = [{"role": "user", "content": "What is 17 + 25?"}]
    options: dict[str, Any] = {"model": name, "tools": [ADD], "temperature": 0, "max_tokens": 100}
    asked = client.chat.completions.create(
        messages=messages, tool_choice="required", parallel_tool_calls=False, **options
    )
    said = asked.choices[0].message
    (call,) = said.tool_calls
    given = json.loads(call.function.arguments)
    result = str(given["a"] + given["b"])
    messages += [said, {"role": "tool", "tool_call_id": call.id, "content": result}]
    answer = client.chat.completions.create(messages=messages, tool_choice="none", **options)
    assert answer.choices[0].message.content, answer
    assert answer.choices[0].message.tool_calls is None, answer


def call_at_will(client: Any, name: str) -> None:
    """The model calls a tool that it need not call, with what the question says."""
    asked: list[Any] = [{"role": "user", "content": "What is 17 + 25?"}]
    answer = client.chat.completions.create(
        model=name, messages=asked, tools=[ADD], temperature=0, max_tokens=100
    )
    first, *_ = answer.choices[0].message.tool_calls
    assert first.function.name == "add", answer
    assert json.loads(first.function.arguments) == {"a": 17, "b": 25}, answer


def wait(client: Any, name: str) -> None:
    """What is told of a wait is in headers, and in comments that are no chunks."""
    asked: dict[str, Any] = {"model": name, "messages": QUESTION, "max_tokens": 4}
    whole = client.chat.completions.with_raw_response.create(**asked)
    assert int(whole.headers["x-queue-ms"]) >= 0, whole.headers
    stream = client.chat.completions.with_raw_response.create(
        **asked, stream=True, extra_headers={"x-progress": "1"}
    )
    assert int(stream.headers["x-queue-position"]) >= 0, stream.headers
    assert list(stream.parse()), "no chunks"


if __name__ == "__main__":
    main(*sys.argv[1:])
