# /// script
# dependencies = ["dspy==3.4.1"]
# ///
"""DSPy with this server declared as a provider: a typed prediction by a schema, a call of a tool.

Of a model that its own tables do not list DSPy believes that it keeps no schema, sends none, and
raises AdapterParseError where a small model does not write one by itself.
"""

from __future__ import annotations

import sys
from typing import Literal

import dspy
from dspy.lm15 import (
    AccessPolicy,
    ModelSupport,
    OpenAIChatCompat,
    ProviderDefinition,
    register_provider,
)


class Describe(dspy.Signature):  # type: ignore[misc]
    """Describe a city."""

    city: str = dspy.InputField()
    country: str = dspy.OutputField()
    size: Literal["small", "large"] = dspy.OutputField()


class Ask(dspy.Signature):  # type: ignore[misc]
    """Choose tools that answer the question."""

    question: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


def main(url: str, name: str) -> None:
    access = AccessPolicy(provider="edge-serve", env_keys=(), base_url=url)
    register_provider(
        ProviderDefinition.chat(access, compat=OpenAIChatCompat(), placeholder_key="unused"),
        supports=ModelSupport(response_schema=True, function_calling=True),
    )
    lm = dspy.LM(f"edge-serve/{name}", temperature=0, max_tokens=200, cache=False, num_retries=0)
    adapter = dspy.JSONAdapter()
    with dspy.context(lm=lm, adapter=adapter):
        found = dspy.Predict(Describe)(city="Paris")
        assert found.size in ("small", "large"), found
        assert isinstance(found.country, str), found
        asked = dspy.Predict(Ask, tool_choice="required")(
            question="How is the weather in Paris?", tools=[dspy.Tool(get_weather)]
        )
        called, *_ = asked.calls.tool_calls
        assert called.name == "get_weather", asked
        assert called.execute(functions=[dspy.Tool(get_weather)]).startswith("It rains in"), asked


if __name__ == "__main__":
    main(*sys.argv[1:])
