"""Tools that a request offers, and calls that its history has.

Models are not made to call yet: what is offered is checked, and the answer is text. A request that
insists on a call is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import BeforeValidator, Field, StringConstraints, Tag, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from frontend.api.fields import NoNul, OneOf, no_nul, only
from frontend.api.validate import Body
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ToolCall

MAX_TOOLS = 1024
MAX_CALLS = 128
MAX_ID_CHARS = 256
_FORCED = "calls cannot be forced yet; send `tool_choice` 'auto' or 'none'"

# OpenAI's rule for the names of functions.
FunctionName = Annotated[str, StringConstraints(pattern="^[a-zA-Z0-9_-]{1,64}$")]
_IsFunction = only("function", "must be 'function': no other type is supported")
FunctionType = Annotated[Literal["function"], _IsFunction]


# --- what is offered -----------------------------------------------------------------------------


class Function(Body):
    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Body):
    type: FunctionType
    function: Function


Tools = Annotated[list[Tool], Field(max_length=MAX_TOOLS)]


class FunctionReference(Body):
    name: str


class ToolReference(Body):
    function: FunctionReference


class AllowedTools(Body):
    mode: Annotated[Literal["auto", "required"], WithJsonSchema({"const": "auto"})]
    tools: list[ToolReference]


class AllowedChoice(Body):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class ForcedChoice(Body):
    """It is understood, and refused."""

    type: Literal["function", "custom"]
    function: FunctionReference | None = None


_WORDS = ("none", "auto", "required")
_CHOICES = {"allowed_tools": "<allowed>", "function": "<forced>", "custom": "<forced>"}


def _choice_kind(given: object) -> str | None:
    if isinstance(given, dict):
        kind = given.get("type")
        return _CHOICES.get(kind) if isinstance(kind, str) else None
    return "<word>" if given in _WORDS else None


Choice = Annotated[
    Annotated[
        Literal["none", "auto", "required"],
        WithJsonSchema({"enum": ["none", "auto"]}),
        Tag("<word>"),
    ]
    | Annotated[AllowedChoice, Tag("<allowed>")]
    | Annotated[SkipJsonSchema[ForcedChoice], Tag("<forced>")],
    OneOf(_choice_kind, "must be 'none', 'auto', 'required' or an object that names a tool"),
]


def check_tools(tools: Sequence[Tool], choice: Choice | None) -> None:
    """Raise `InvalidRequest` where ``tools`` and ``choice`` do not go together, and
    `UnsupportedParameter` where they insist on a call."""
    names: set[str] = set()
    for at, tool in enumerate(tools):
        if tool.function.name in names:
            raise _wrong(f"tools[{at}].function.name", "must differ from other tools' names")
        names.add(tool.function.name)
    if isinstance(choice, AllowedChoice):
        _check_allowed(choice.allowed_tools, names)
    elif isinstance(choice, ForcedChoice):
        if choice.type == "function":
            _check_named(choice.function, "tool_choice.function", names)
        raise UnsupportedParameter(f"`tool_choice` of a tool: {_FORCED}", param="tool_choice")
    elif choice == "required":
        raise UnsupportedParameter(f"`tool_choice` 'required': {_FORCED}", param="tool_choice")


def _check_allowed(allowed: AllowedTools, names: set[str]) -> None:
    path = "tool_choice.allowed_tools"
    for at, tool in enumerate(allowed.tools):
        _check_named(tool.function, f"{path}.tools[{at}].function", names)
    if allowed.mode == "required":
        raise UnsupportedParameter(f"`{path}.mode` 'required': {_FORCED}", param="tool_choice")


def _check_named(function: FunctionReference | None, path: str, names: set[str]) -> None:
    if function is None or function.name not in names:
        raise _wrong(f"{path}.name", "must be the name of one of `tools`", param="tool_choice")


def _wrong(path: str, rule: str, *, param: str | None = None) -> InvalidRequest:
    return InvalidRequest(f"`{path}` {rule}", param=param or path)


# --- calls in a history --------------------------------------------------------------------------


def _object_text(given: object) -> object:
    """The JSON text of an object. Models call without arguments by an empty text or by null;
    some clients send the object itself."""
    if given is None or (isinstance(given, str) and given.strip() in ("", "null")):
        return "{}"
    if isinstance(given, dict):
        return orjson.dumps(given).decode()
    if isinstance(given, str):
        try:
            if isinstance(orjson.loads(given), dict):
                return no_nul(given)
        except orjson.JSONDecodeError:
            pass
    raise ValueError("must be a JSON object, as text")


Arguments = Annotated[
    str, BeforeValidator(_object_text), WithJsonSchema({"type": ["object", "string", "null"]})
]
Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS), NoNul]


class Called(Body):
    """In the form that came before ``tool_calls`` a call was no more than this."""

    name: FunctionName
    arguments: Arguments = "{}"

    def to_call(self, call_id: str) -> ToolCall:
        return ToolCall(id=call_id, name=self.name, arguments=self.arguments)


class Call(Body):
    id: Id | None = None
    type: FunctionType | None = None
    function: Called


Calls = Annotated[list[Call], Field(max_length=MAX_CALLS)]


def read_calls(calls: Sequence[Call], default_id: str) -> list[ToolCall]:
    """The calls of an assistant's turn. One without an id gets one that begins with
    ``default_id``."""
    return [call.function.to_call(call.id or f"{default_id}_{at}") for at, call in enumerate(calls)]
