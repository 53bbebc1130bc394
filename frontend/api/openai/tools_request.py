"""Tools that a request offers, and calls that its history has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from pydantic import BeforeValidator, Field, StringConstraints, Tag, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from frontend.api.fields import NoNul, OneOf, Text, json_text, no_nul, only
from frontend.api.validate import Body
from frontend.grammar.gate import AskedForm
from ipc.messages import jobs
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Json, ToolCall

MAX_TOOLS = 1024
MAX_CALLS = 128
MAX_ID_CHARS = 256

# OpenAI's rule for the names of functions, which may be twice as long in Anthropic's API.
FunctionName = Annotated[str, StringConstraints(pattern="^[a-zA-Z0-9_-]{1,128}$")]
_IsFunction = only("function", "must be 'function': no other type is supported")
FunctionType = Annotated[Literal["function"], _IsFunction]


# --- what is offered -----------------------------------------------------------------------------


class Function(Body):
    name: FunctionName
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def to_tool(self, path: str) -> jobs.Tool:
        """As the job has it, told at ``path`` of the request. Raises `InvalidRequest`."""
        place = f"{path}.parameters"
        parameters = None if self.parameters is None else json_text(self.parameters, place)
        if parameters is not None and "\\u0000" in parameters:
            raise _wrong(place, "must not contain NUL characters")
        return jobs.Tool(
            name=self.name,
            description=self.description,
            parameters=parameters,
            strict=bool(self.strict),
        )


class Tool(Body):
    type: FunctionType
    function: Function


Tools = Annotated[list[Tool], Field(max_length=MAX_TOOLS)]


class FunctionReference(Body):
    name: str


class ToolReference(Body):
    function: FunctionReference


class AllowedTools(Body):
    mode: Literal["auto", "required"]
    tools: list[ToolReference]


class AllowedChoice(Body):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class NamedChoice(Body):
    type: Literal["function"]
    function: FunctionReference


class CustomChoice(Body):
    """It is understood, and refused."""

    type: Annotated[Literal["function"], _IsFunction]


_WORDS = ("none", "auto", "required")
_CHOICES = {"allowed_tools": "<allowed>", "function": "<named>", "custom": "<custom>"}


def one_choice(tags: Mapping[str, str], rule: str) -> OneOf:
    """Tells a ``<word>`` from objects, whose ``type`` stands for one of ``tags``."""

    def tell(given: object) -> str | None:
        if isinstance(given, dict):
            kind = given.get("type")
            return tags.get(kind) if isinstance(kind, str) else None
        return "<word>" if given in _WORDS else None

    return OneOf(tell, rule)


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<word>")]
    | Annotated[AllowedChoice, Tag("<allowed>")]
    | Annotated[NamedChoice, Tag("<named>")]
    | Annotated[SkipJsonSchema[CustomChoice], Tag("<custom>")],
    one_choice(_CHOICES, "must be 'none', 'auto', 'required' or an object that names a tool"),
]


def _function_call_kind(given: object) -> str | None:
    if isinstance(given, dict):
        return "<named>"
    return "<word>" if given in ("none", "auto") else None


# The form before tools.
Functions = Annotated[list[Function], Field(max_length=MAX_TOOLS)]
FunctionCall = Annotated[
    Annotated[Literal["none", "auto"], Tag("<word>")]
    | Annotated[FunctionReference, Tag("<named>")],
    OneOf(_function_call_kind, "must be 'none', 'auto' or an object that names a function"),
]


class ToolsRequest(Body):
    """What an answer may call, in the form of today or in the one before it."""

    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Functions | None = None
    function_call: FunctionCall | None = None

    @property
    def names_call(self) -> bool:
        """Whether the answer has to be a call of one function by name."""
        by_function = isinstance(self.function_call, FunctionReference)
        return by_function or isinstance(self.tool_choice, NamedChoice)

    def check_tools(self) -> None:
        """Raise `InvalidRequest` where these keys do not go together."""
        if self.tools and self.functions:
            raise InvalidRequest(
                "`functions` is the older name of `tools`; send either", param="functions"
            )
        self.to_tools()

    def to_tools(self) -> ToolUse:
        """What may be called, and whether it must be. Raises `InvalidRequest`."""
        offered = self._offered()
        choice = self._choice()
        if choice == "none":  # shown them, some models would call all the same
            return ToolUse([])
        if isinstance(choice, AllowedChoice):
            return _allowed(choice.allowed_tools, offered)
        if isinstance(choice, _Named):
            return ToolUse([_named(choice.name, offered, choice.path, choice.param)], True)
        if choice == "required" and not offered:
            raise InvalidRequest(
                "`tool_choice` 'required' needs `tools` to choose from", param="tool_choice"
            )
        return ToolUse([*offered.values()], choice == "required")

    def bound_arguments(self) -> list[AskedForm]:
        """The schemas that arguments will be held to: of strict tools, and of all where one must be
        called. What cannot be kept is dropped of those that are not strict."""
        use = self.to_tools()
        paths = {function.name: path for path, function in self._given()}
        return [
            AskedForm(
                Json(schema=tool.parameters, strict=tool.strict), f"{paths[tool.name]}.parameters"
            )
            for tool in use.tools
            if tool.parameters is not None and (tool.strict or use.must_call)
        ]

    def _given(self) -> list[tuple[str, Function]]:
        """Each function with its place in the request."""
        return [
            *((f"tools[{at}].function", tool.function) for at, tool in enumerate(self.tools or ())),
            *((f"functions[{at}]", function) for at, function in enumerate(self.functions or ())),
        ]

    def _offered(self) -> dict[str, jobs.Tool]:
        offered: dict[str, jobs.Tool] = {}
        for path, function in self._given():
            if function.name in offered:
                raise _wrong(f"{path}.name", "must differ from other tools' names")
            offered[function.name] = function.to_tool(path)
        return offered

    def _choice(self) -> str | AllowedChoice | _Named | None:
        if isinstance(self.tool_choice, NamedChoice):
            path = "tool_choice.function.name"
            return _Named(self.tool_choice.function.name, path, "tool_choice")
        if isinstance(self.function_call, FunctionReference):
            return _Named(self.function_call.name, "function_call.name", "function_call")
        return self.tool_choice or self.function_call  # type: ignore[return-value]


class ToolUse(NamedTuple):
    """All that an answer may call, and whether it must."""

    tools: list[jobs.Tool]
    must_call: bool = False


class _Named(NamedTuple):
    """A function that is to be called; ``path`` is where the request names it."""

    name: str
    path: str
    param: str


def _allowed(allowed: AllowedTools, offered: Mapping[str, jobs.Tool]) -> ToolUse:
    path = "tool_choice.allowed_tools.tools"
    wanted = {
        tool.function.name: _named(
            tool.function.name, offered, f"{path}[{at}].function.name", "tool_choice"
        )
        for at, tool in enumerate(allowed.tools)
    }
    if allowed.mode == "required" and not wanted:
        raise _wrong(path, "must name a tool for the mode 'required'", param="tool_choice")
    return ToolUse([*wanted.values()], allowed.mode == "required")


def _named(name: str, offered: Mapping[str, jobs.Tool], path: str, param: str) -> jobs.Tool:
    if name not in offered:
        raise _wrong(path, "must be the name of one of `tools`", param=param)
    return offered[name]


def _wrong(path: str, rule: str, *, param: str | None = None) -> InvalidRequest:
    return InvalidRequest(f"`{path}` {rule}", param=param or path)


# --- calls in a history --------------------------------------------------------------------------


def _object_text(given: object) -> object:
    """The JSON text of an object. Models call without arguments by an empty text or by null;
    some clients send the object itself."""
    if given is None or (isinstance(given, str) and given.strip() in ("", "null")):
        return "{}"
    if isinstance(given, dict):
        try:
            return orjson.dumps(given).decode()
        except TypeError:
            raise ValueError("is nested too deeply") from None
    if isinstance(given, str):
        try:
            if isinstance(orjson.loads(given), dict):
                return no_nul(given)
        except orjson.JSONDecodeError:
            pass
    raise ValueError("must be a JSON object, as text")


def _written(given: object) -> object:
    """As `_object_text`, but any other text stays. Of a call that was cut off, clients send back
    what there was of it, and the error that they made of it."""
    if isinstance(given, str) and given.strip() not in ("", "null"):
        return no_nul(given)
    return _object_text(given)


_SCHEMA = WithJsonSchema({"type": ["object", "string", "null"]})
Arguments = Annotated[str, BeforeValidator(_object_text), _SCHEMA]
WrittenArguments = Annotated[str, BeforeValidator(_written), _SCHEMA]
Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS), NoNul]


class Called(Body):
    """In the form that came before ``tool_calls`` a call was no more than this."""

    name: FunctionName
    arguments: WrittenArguments = "{}"

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
