"""A request for a message, in the words of a chat."""

from __future__ import annotations

from typing import Any, NamedTuple

from frontend.api.anthropic.history import History
from frontend.api.anthropic.request import (
    ChosenHow,
    ChosenTool,
    CustomTool,
    MessagesRequest,
    PromptRequest,
)

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
# The client's names for keys of a chat.
_NAMES = {
    "stop": "stop_sequences",
    "tool_choice.function": "tool_choice",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "reasoning_effort": "output_config.effort",
    "thinking_token_budget": "thinking.budget_tokens",
    "chat_template_kwargs": "thinking",
}

Words = dict[str, Any]


class AsChat(NamedTuple):
    """A request as `ChatRequest` takes it, and the client's names for places in it."""

    words: Words
    names: dict[str, str]


def prompt_as_chat(asked: PromptRequest, *, reasons: bool) -> AsChat:
    """What makes the prompt. A model that ``reasons`` does so only where it is asked to."""
    history = History(asked)
    words: Words = {"model": asked.model, "messages": history.turns}
    names = _NAMES | history.names
    if history.goes_on:
        words["continue_final_message"] = True
    _add_tools(asked, words, names)
    _add_thinking(asked, words, reasons=reasons)
    _add_form(asked, words, names)
    return AsChat(words, names)


def message_as_chat(asked: MessagesRequest, *, reasons: bool) -> AsChat:
    """All of it. Where nothing is to be written, one token is: no engine writes none."""
    words, names = prompt_as_chat(asked, reasons=reasons)
    sampling = {
        "max_tokens": max(1, asked.max_tokens),
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "stop": asked.stop_sequences,
        "stream": asked.stream,
    }
    return AsChat(words | sampling, names)


def _add_tools(asked: PromptRequest, words: Words, names: dict[str, str]) -> None:
    tools: list[Words] = []
    for at, tool in enumerate(asked.tools or ()):
        if isinstance(tool, CustomTool):
            here, there = f"tools[{len(tools)}]", f"tools[{at}]"
            names |= {here: there, f"{here}.function": there}
            names[f"{here}.function.parameters"] = f"{there}.input_schema"
            tools.append(_tool(tool))
    words["tools"] = tools
    match asked.tool_choice:
        case ChosenHow(type=how):
            words["tool_choice"] = _CHOICES[how]
        case ChosenTool(name=name):
            words["tool_choice"] = {"type": "function", "function": {"name": name}}
    if asked.tool_choice is not None and asked.tool_choice.disable_parallel_tool_use:
        words["parallel_tool_calls"] = False


def _tool(tool: CustomTool) -> Words:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
        "strict": tool.strict,
    }
    return {"type": "function", "function": function}


def _add_thinking(asked: PromptRequest, words: Words, *, reasons: bool) -> None:
    if asked.thinking is not None:
        budget_tokens = asked.thinking.budget_tokens
        words["thinking"] = {"type": asked.thinking.type, "budget_tokens": budget_tokens}
    elif reasons:
        words["thinking"] = {"type": "disabled"}
    if asked.output_config is not None:
        words["reasoning_effort"] = asked.output_config.effort


def _add_form(asked: PromptRequest, words: Words, names: dict[str, str]) -> None:
    form, place = asked.output_format, "output_format"
    if form is None and asked.output_config is not None:
        form, place = asked.output_config.format, "output_config.format"
    if form is not None:
        words["response_format"] = {
            "type": "json_schema",
            "json_schema": {"schema": form.schema_},
        }
        names |= {"response_format": place, "response_format.json_schema": place}
