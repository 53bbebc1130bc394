# /// script
# dependencies = ["smolagents[openai]==1.26.0"]
# ///
"""smolagents' ToolCallingAgent, whole and streamed, and its CodeAgent with structured output."""

from __future__ import annotations

import sys
from typing import Any

from smolagents import ActionStep, CodeAgent, OpenAIModel, ToolCallingAgent, tool


@tool  # type: ignore[untyped-decorator]
def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: which one.
    """
    return f"It rains in {city}."


def main(url: str, name: str) -> None:
    model = OpenAIModel(
        model_id=name,
        api_base=url,
        api_key="unused",
        temperature=0,
        max_tokens=200,
        parallel_tool_calls=False,
    )
    for stream in (False, True):
        agent = ToolCallingAgent(
            tools=[get_weather], model=model, max_steps=2, stream_outputs=stream, verbosity_level=0
        )
        answer = agent.run("How is the weather in Paris?")
        check(agent.memory.steps)
        assert answer is not None, agent.memory.steps

    coder = CodeAgent(
        tools=[],
        model=model,
        max_steps=1,
        use_structured_outputs_internally=True,
        verbosity_level=0,
    )
    coder.run("What is 2 + 3?")
    (step,) = [one for one in coder.memory.steps if isinstance(one, ActionStep)][:1]
    assert step.code_action, step


def check(steps: list[Any]) -> None:
    """That each step made a call that could be run."""
    actions = [step for step in steps if isinstance(step, ActionStep) and step.tool_calls]
    assert actions, steps
    for step in actions:
        assert step.error is None, step.error
        (call,) = step.tool_calls
        assert call.name in ("get_weather", "final_answer"), call
        assert isinstance(call.arguments, dict), call
        assert step.token_usage.output_tokens > 0, step


if __name__ == "__main__":
    main(*sys.argv[1:])
