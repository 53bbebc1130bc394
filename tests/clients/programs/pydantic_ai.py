# /// script
# dependencies = ["pydantic-ai-slim[openai]==2.68.0"]
# [tool.edge-serve]
# models = ["chat-completion", "tools"]
# ///
"""Pydantic AI: output types by calls and by a schema, whole and streamed; a tool called at will."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Literal

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings


class City(BaseModel):
    """A city."""

    name: str
    country: str
    size: Literal["small", "large"]


async def main(url: str, name: str, caller: str) -> None:
    provider = OpenAIProvider(base_url=url, api_key="unused")
    settings = ModelSettings(temperature=0, max_tokens=300)
    small = OpenAIChatModel(name, provider=provider, settings=settings)
    await outputs(small)
    await stream(small)
    await tool(OpenAIChatModel(caller, provider=provider, settings=settings))


async def outputs(model: OpenAIChatModel) -> None:
    for output in (City, ToolOutput(City), NativeOutput(City, strict=True)):
        agent: Agent[None, Any] = Agent(model, output_type=output, retries=0)
        result = await agent.run("Name a city.")
        assert isinstance(result.output, City), (output, result)
        assert result.usage.output_tokens > 0, result
    either: Agent[None, Any] = Agent(model, output_type=[City, Literal["none"]], retries=0)
    found = (await either.run("Name a city.")).output
    assert isinstance(found, City) or found == "none", found


async def stream(model: OpenAIChatModel) -> None:
    agent = Agent(model, output_type=City, retries=0)
    async with agent.run_stream("Name a city.") as result:
        parts = [part async for part in result.stream_output(debounce_by=None)]
    assert isinstance(parts[-1], City), parts
    async with Agent(model).run_stream("Say hello.") as result:
        texts = [text async for text in result.stream_text(delta=True, debounce_by=None)]
    assert "".join(texts) == await result.get_output(), texts


async def tool(model: OpenAIChatModel) -> None:
    """The model calls a tool at will, and reads its result."""
    agent = Agent(model)
    asked: list[str] = []

    @agent.tool_plain  # type: ignore[untyped-decorator]
    def get_weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return "Rain, 8 degrees."

    async with agent.iter("How is the weather in Paris?") as run:
        async for _ in run:
            if asked:
                break
        messages = run.all_messages()
    assert asked == ["Paris"], messages
    parts = [part for message in messages for part in message.parts]
    (call,) = [part for part in parts if isinstance(part, ToolCallPart)]
    assert call.tool_name == "get_weather", call


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
