"""Tools of a request, flat as this API has them, in the words of a chat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from frontend.api.fields import OneOf, Text
from frontend.api.openai.tools_request import MAX_TOOLS, FunctionName, one_choice
from frontend.api.validate import Body

# The one argument of a custom tool, which a model calls as it calls any function.
INPUT = "input"
_CUSTOM_PARAMETERS = {
    "type": "object",
    "properties": {INPUT: {"type": "string"}},
    "required": [INPUT],
    "additionalProperties": False,
}


# --- what is offered -----------------------------------------------------------------------------


class FunctionTool(Body):
    """One that does not say whether it is ``strict`` is."""

    type: Literal["function"]
    name: FunctionName
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    @property
    def is_strict(self) -> bool:
        return self.strict is not False

    def function(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "strict": self.is_strict,
        }

    def told(self) -> dict[str, Any]:
        """As the answer repeats it."""
        return {"type": "function", **self.function()}


def _free_text(given: object) -> object:
    if isinstance(given, dict) and given.get("type") == "grammar":
        why = "is not supported: the input of a custom tool is any text; leave `format` out"
        raise PydanticCustomError("unsupported", "{why}", {"why": why})
    return given


class _FreeText(Body):
    type: Literal["text"]


class CustomTool(Body):
    type: Literal["custom"]
    name: FunctionName
    description: Text | None = None
    format: Annotated[_FreeText, BeforeValidator(_free_text)] | None = None

    def function(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "parameters": _CUSTOM_PARAMETERS,
            "strict": True,
        }

    def told(self) -> dict[str, Any]:
        return {
            "type": "custom",
            "name": self.name,
            "description": self.description,
            "format": {"type": "text"},
        }


_OTHER_TYPE = {"type": "string", "not": {"enum": ["function", "custom"]}}


class OtherTool(Body):
    """One that OpenAI runs, or that only some of its models know: the model is not told of it."""

    type: Annotated[str, WithJsonSchema(_OTHER_TYPE)]


_KINDS = {"function": "<function>", "custom": "<custom>"}


def _tool_kind(given: object) -> str | None:
    if not isinstance(given, dict):
        return "<function>"
    kind = given.get("type", "function")
    return _KINDS.get(kind, "<other>") if isinstance(kind, str) else None


Tool = Annotated[
    Annotated[FunctionTool, Tag("<function>")]
    | Annotated[CustomTool, Tag("<custom>")]
    | Annotated[OtherTool, Tag("<other>")],
    OneOf(_tool_kind, "must be a string", "type"),
]
Tools = Annotated[list[Tool], Field(max_length=MAX_TOOLS)]


# --- what is chosen ------------------------------------------------------------------------------


class NamedTool(Body):
    type: Literal["function", "custom"]
    name: str


def _allowed_kind(given: object) -> str | None:
    if not isinstance(given, dict):
        return "<named>"
    kind = given.get("type", "function")
    return ("<named>" if kind in _KINDS else "<other>") if isinstance(kind, str) else None


_Allowed = Annotated[
    Annotated[NamedTool, Tag("<named>")] | Annotated[OtherTool, Tag("<other>")],
    OneOf(_allowed_kind, "must be a string", "type"),
]


class AllowedTools(Body):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[_Allowed]


_CHOICES = {"function": "<named>", "custom": "<named>", "allowed_tools": "<allowed>"}

ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<word>")]
    | Annotated[NamedTool, Tag("<named>")]
    | Annotated[AllowedTools, Tag("<allowed>")],
    one_choice(
        _CHOICES,
        "must be 'none', 'auto', 'required' or an object that names a function or a custom tool",
    ),
]


# --- in the words of a chat ----------------------------------------------------------------------


class ChatWords(NamedTuple):
    """What a chat request has for it, and what the places in that are called by the client."""

    data: Any
    names: dict[str, str]


def chat_tools(tools: Sequence[Tool], choice: ToolChoice | None) -> ChatWords:
    """The tools that a model can be told of, and the choice among them."""
    offered = [
        (at, tool) for at, tool in enumerate(tools) if isinstance(tool, FunctionTool | CustomTool)
    ]
    functions = [{"type": "function", "function": tool.function()} for _, tool in offered]
    names = {f"tools[{to}].function": f"tools[{at}]" for to, (at, _) in enumerate(offered)}
    chosen = _chat_choice(choice)
    data = {"tools": functions or None, "tool_choice": chosen.data}
    return ChatWords(data, names | chosen.names)


def _chat_choice(choice: ToolChoice | None) -> ChatWords:
    if isinstance(choice, AllowedTools):
        return _chat_allowed(choice)
    if isinstance(choice, NamedTool):
        named = {"type": "function", "function": {"name": choice.name}}
        return ChatWords(named, {"tool_choice.function": "tool_choice"})
    return ChatWords(choice, {})


def _chat_allowed(choice: AllowedTools) -> ChatWords:
    named = [(at, tool) for at, tool in enumerate(choice.tools) if isinstance(tool, NamedTool)]
    path = "tool_choice.allowed_tools"
    names = {
        f"{path}.tools[{to}].function": f"tool_choice.tools[{at}]"
        for to, (at, _) in enumerate(named)
    }
    allowed = {
        "mode": choice.mode,
        "tools": [{"type": "function", "function": {"name": tool.name}} for _, tool in named],
    }
    data = {"type": "allowed_tools", "allowed_tools": allowed}
    return ChatWords(data, {**names, path: "tool_choice"})
