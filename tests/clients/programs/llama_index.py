# /// script
# dependencies = ["llama-index-llms-openai-like==0.8.1"]
# ///
"""LlamaIndex's OpenAILike: completions, which are its default, a chat, a tool, a schema."""

from __future__ import annotations

import sys

from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class City(BaseModel):
    """A city."""

    name: str
    people: int


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def main(url: str, name: str) -> None:
    options = {"model": name, "api_base": url, "api_key": "unused", "max_tokens": 200}
    completing = OpenAILike(**{**options, "max_tokens": 8})
    assert completing.complete("The capital of France is").text
    assert "".join(part.delta or "" for part in completing.stream_complete("The capital of"))

    model = OpenAILike(**options, temperature=0, is_chat_model=True, is_function_calling_model=True)
    answer = model.chat_with_tools(
        [FunctionTool.from_defaults(add)], user_msg="What is 2 and 3?", tool_required=True
    )
    (call, *_) = model.get_tool_calls_from_response(answer)
    assert call.tool_name == "add", call
    assert set(call.tool_kwargs) == {"a", "b"}, call
    found = model.as_structured_llm(City).complete("Name a city.").raw
    assert isinstance(found, City), found


if __name__ == "__main__":
    main(*sys.argv[1:])
