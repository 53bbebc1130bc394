# /// script
# dependencies = ["langchain==1.5.2", "langchain-openai==1.7.4"]
# ///
"""LangChain: bound tools, structured output by its three methods, an agent."""

from __future__ import annotations

import sys
from typing import Literal

import openai
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class City(BaseModel):
    """A city."""

    name: str
    country: str
    size: Literal["small", "large"]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def main(url: str, name: str) -> None:
    model = ChatOpenAI(base_url=url, api_key="unused", model=name, temperature=0, max_tokens=300)

    for choice in ("any", "add"):
        (call,) = (
            model.bind_tools([add], tool_choice=choice, parallel_tool_calls=False)
            .invoke("What is 2 and 3?")
            .tool_calls
        )
        assert call["name"] == "add", call
        assert set(call["args"]) == {"a", "b"}, call
        assert all(isinstance(value, int) for value in call["args"].values()), call

    chunks = model.bind_tools([add], tool_choice="any", parallel_tool_calls=False).stream("2 + 3?")
    total = next(chunks)
    for chunk in chunks:
        total += chunk
    assert [call["name"] for call in total.tool_calls] == ["add"], total

    for method in ("json_schema", "function_calling"):
        found = model.with_structured_output(City, method=method).invoke("Name a city.")
        assert isinstance(found, City), (method, found)
    try:
        asked = model.with_structured_output(City, method="json_mode", include_raw=True)
        text = asked.invoke("Describe a city as JSON.")["raw"].content
    except openai.LengthFinishReasonError as cut:  # an object of any form need not end
        text = cut.completion.choices[0].message.content or ""
    assert text.lstrip().startswith("{"), text

    agent = create_agent(model, [add])
    answer = agent.invoke(
        {"messages": [("user", "What is 2 and 3?")]}, config={"recursion_limit": 8}
    )
    assert answer["messages"][-1].type == "ai", answer


if __name__ == "__main__":
    main(*sys.argv[1:])
