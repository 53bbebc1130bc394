# /// script
# dependencies = ["pydantic-ai-slim[openai]==2.68.0"]
# ///
"""Pydantic AI by the Responses API, its default for OpenAI: an output type by a call and by a
schema; a stream; a conversation."""

from __future__ import annotations

import asyncio
import sys
from typing import Literal

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings


class City(BaseModel):
    """A city."""

    name: str
    size: Literal["small", "large"]


async def main(url: str, name: str) -> None:
    model = OpenAIResponsesModel(
        name,
        provider=OpenAIProvider(base_url=url, api_key="unused"),
        settings=ModelSettings(temperature=0, max_tokens=100),
    )
    for output in (City, ToolOutput(City), NativeOutput(City, strict=True)):
        agent = Agent(model, output_type=output, retries=0)
        found = await agent.run("Name a city.")
        assert isinstance(found.output, City), (output, found)
    await talk(Agent(model))


async def talk(agent: Agent) -> None:
    async with agent.run_stream("Name a colour.") as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True)]
    assert len(pieces) > 1, pieces
    again = await agent.run("And one more.", message_history=stream.all_messages())
    assert again.output
    assert again.usage.input_tokens > stream.usage.input_tokens


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
