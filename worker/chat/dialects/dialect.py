"""What a dialect is: the way in which a family of models writes calls and reasoning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ipc.messages.jobs import ChatInput, Tool
from worker.chat.parser import Parser

# A message as chat templates take it.
Turn = dict[str, Any]


class ForTemplate(NamedTuple):
    """What a template is given: turns, tools and keywords."""

    turns: list[Turn]
    tools: list[Turn] | None = None
    arguments: Mapping[str, Any] = {}


class Dialect(Protocol):
    """Into the prompt by `history`, out of the answer by `parser`."""

    @property
    def name(self) -> str:
        """As the catalog names it."""
        ...

    @property
    def calls_tools(self) -> bool:
        """Whether the model has learned to call in it."""
        ...

    def history(self, turns: Sequence[Turn], tools: Sequence[Turn] = ()) -> ForTemplate:
        """``turns`` as the model's template can write all of them, calls and results too, and what
        it is told of the ``tools``, which are as OpenAI's API has them."""
        ...

    def parser(self, asked: ChatInput, tail: str) -> Parser:
        """What reads one answer to ``asked``; the prompt ends with ``tail``."""
        ...


def described(tool: Tool, parameters: Any) -> Turn:
    """A tool as templates take it, which is as OpenAI's API has it."""
    function: Turn = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if parameters is not None:
        function["parameters"] = parameters
    return {"type": "function", "function": function}
