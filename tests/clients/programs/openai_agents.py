# /// script
# dependencies = ["openai-agents==0.24.0"]
# [tool.edge-serve]
# models = ["chat-completion", "tools"]
# ///
"""OpenAI Agents SDK by its model for chats: an agent with a tool, whole and streamed, and one with
an output type."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    StopAtTools,
    ToolCallItem,
    ToolCallOutputItem,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel


class City(BaseModel):
    name: str
    people: int


@function_tool  # type: ignore[untyped-decorator]
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


QUESTION = "How is the weather in Paris?"
# After a call the kit lets the model choose.
MUST = ModelSettings(
    temperature=0, max_tokens=100, tool_choice="required", parallel_tool_calls=False
)


async def main(url: str, name: str, caller: str) -> None:
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=url, api_key="unused", max_retries=0)
    model = OpenAIChatCompletionsModel(model=name, openai_client=client)
    agent = Agent(name="small", model=model, tools=[get_weather], model_settings=MUST)

    result = await Runner.run(agent, QUESTION, max_turns=3)
    check(result.new_items)
    assert isinstance(result.final_output, str), result
    assert result.final_output, result

    streamed = Runner.run_streamed(agent, QUESTION, max_turns=3)
    deltas = [
        event.data.delta
        async for event in streamed.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    check(streamed.new_items)
    assert "".join(deltas) == streamed.final_output, (deltas, streamed.final_output)

    settings = ModelSettings(temperature=0, max_tokens=200)
    typed = Agent(name="typed", model=model, output_type=City, model_settings=settings)
    found = (await Runner.run(typed, "Name a city.")).final_output
    assert isinstance(found, City), found

    free = Agent(
        name="free",
        model=OpenAIChatCompletionsModel(model=caller, openai_client=client),
        tools=[get_weather],
        model_settings=settings,
        tool_use_behavior=StopAtTools(stop_at_tool_names=["get_weather"]),
    )
    result = await Runner.run(free, QUESTION, max_turns=2)
    assert result.final_output == "It rains in Paris.", result


def check(items: list[Any]) -> None:
    """That a tool was called, with its arguments, and has run."""
    (call,) = [item.raw_item for item in items if isinstance(item, ToolCallItem)]
    (output,) = [item for item in items if isinstance(item, ToolCallOutputItem)]
    assert call.name == "get_weather", call
    assert output.output.startswith("It rains in "), output
    assert output.raw_item["call_id"] == call.call_id, (call, output)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
