# /// script
# dependencies = ["haystack-ai==3.4.1"]
# [tool.edge-serve]
# models = ["chat-completion", "tools"]
# ///
"""Haystack: its generator for chats with a schema and as a stream, and its Agent with a tool."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import tool
from haystack.utils import Secret
from pydantic import BaseModel


class City(BaseModel):
    name: str
    people: int


@tool  # type: ignore[untyped-decorator]
def get_weather(city: Annotated[str, "which one"]) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


QUESTION = [ChatMessage.from_user("How is the weather in Paris?")]


def main(url: str, name: str, caller: str) -> None:
    def generator(model: str, **options: Any) -> OpenAIChatGenerator:
        return OpenAIChatGenerator(
            api_key=Secret.from_token("unused"),
            model=model,
            api_base_url=url,
            generation_kwargs={"temperature": 0, "max_tokens": 200, **options},
            max_retries=0,
        )

    asked = [ChatMessage.from_user("Name a city.")]
    (said,) = generator(name, response_format=City).run(asked)["replies"]
    City.model_validate_json(said.text)
    chunks: list[str] = []
    (said,) = generator(name).run(asked, streaming_callback=lambda c: chunks.append(c.content))[
        "replies"
    ]
    assert said.text == "".join(chunks), (said, chunks)

    forced = generator(name, tool_choice="required", parallel_tool_calls=False)
    at_will = generator(caller)
    for chat, streams in ((forced, False), (forced, True), (at_will, False), (at_will, True)):
        agent = Agent(chat_generator=chat, tools=[get_weather], exit_conditions=["get_weather"])
        callback = {"streaming_callback": lambda _: None} if streams else {}
        *_, call, result = agent.run(messages=QUESTION, **callback)["messages"]
        assert call.tool_call.tool_name == "get_weather", call
        city = call.tool_call.arguments["city"]
        assert result.tool_call_result.result == f"It rains in {city}.", result
        if chat is at_will:
            assert city == "Paris", call


if __name__ == "__main__":
    main(*sys.argv[1:])
