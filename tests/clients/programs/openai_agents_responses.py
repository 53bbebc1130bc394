# /// script
# dependencies = ["openai-agents==0.24.0"]
# ///
"""OpenAI's Agents SDK by its default, the Responses API: a tool that must be called, whole and
streamed; an output type; a conversation by the id of the last response."""

from __future__ import annotations

import asyncio
import sys
from typing import Literal

from agents import (
    Agent,
    ModelSettings,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

CALLED: list[str] = []


class City(BaseModel):
    name: str
    size: Literal["small", "large"]


@function_tool  # type: ignore[untyped-decorator]
def weather(city: Literal["Paris", "Rome"]) -> str:
    """The weather in a city."""
    CALLED.append(city)
    return f"It is raining in {city}."


async def main(url: str, name: str) -> None:
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=url, api_key="unused", max_retries=0)
    # By its name alone what stands before the slash would be taken for another provider.
    model = OpenAIResponsesModel(model=name, openai_client=client)
    await tool(model)
    await output(model)
    await conversation(model)


async def tool(model: OpenAIResponsesModel) -> None:
    must = ModelSettings(tool_choice="required", temperature=0, max_tokens=60)
    agent = Agent(name="a", model=model, tools=[weather], model_settings=must)
    question = "What is the weather in Rome?"
    whole = await Runner.run(agent, question, max_turns=4)
    assert CALLED, whole
    assert [item.type for item in whole.new_items][:2] == [
        "tool_call_item",
        "tool_call_output_item",
    ]
    CALLED.clear()
    # It takes an answer that was cut off for an error, where it is streamed.
    once = agent.clone(tool_use_behavior="stop_on_first_tool")
    stream = Runner.run_streamed(once, question, max_turns=4)
    kinds = [event.data.type async for event in stream.stream_events() if "raw" in event.type]
    assert CALLED, stream
    assert "response.function_call_arguments.done" in kinds, kinds
    assert "response.completed" in kinds, kinds
    assert isinstance(stream.final_output, str)


async def output(model: OpenAIResponsesModel) -> None:
    settings = ModelSettings(temperature=0, max_tokens=100)
    agent = Agent(name="a", model=model, output_type=City, model_settings=settings)
    found = await Runner.run(agent, "Name a city.")
    assert isinstance(found.final_output, City), found


async def conversation(model: OpenAIResponsesModel) -> None:
    agent = Agent(name="a", model=model, model_settings=ModelSettings(max_tokens=12))
    first = await Runner.run(agent, "Name a city.")
    second = await Runner.run(agent, "And one more.", previous_response_id=first.last_response_id)
    (asked,) = [one.usage.input_tokens for one in second.raw_responses]
    assert asked > first.raw_responses[0].usage.input_tokens


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
