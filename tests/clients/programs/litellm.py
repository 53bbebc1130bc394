# /// script
# dependencies = ["litellm==1.110.2"]
# ///
"""LiteLLM: tools, a schema, log probabilities, several choices, a text completion."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # asks no other server for prices
import litellm

ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
    "additionalProperties": False,
}


def main(url: str, name: str) -> None:
    def asked(text: str, **more: Any) -> Any:
        return litellm.completion(
            model=f"openai/{name}",
            api_base=url,
            api_key="unused",
            messages=[{"role": "user", "content": text}],
            max_tokens=200,
            num_retries=0,
            **more,
        )

    named = {"type": "function", "function": {"name": "add"}}
    for choice in ("required", named):
        answer = asked("2 + 3?", tools=[ADD], tool_choice=choice, temperature=0)
        call = answer.choices[0].message.tool_calls[0].function
        assert set(json.loads(call.arguments)) == {"a", "b"}, call

    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
    chunks = list(asked("Name a city.", response_format=form, stream=True, temperature=0))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert set(json.loads(text)) == {"name", "people"}, text

    answer = asked("Say hello.", n=2, temperature=0.7)
    assert len(answer.choices) == 2, answer

    completed = litellm.text_completion(
        model=f"text-completion-openai/{name}",
        api_base=url,
        api_key="unused",
        prompt="The capital of France is",
        max_tokens=5,
    )
    assert completed.choices[0].text, completed


if __name__ == "__main__":
    main(*sys.argv[1:])
