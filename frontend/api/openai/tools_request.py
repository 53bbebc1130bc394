"""Tools that a request offers, and calls that its history has.

Models are not made to call yet: what is offered is checked, and the answer is text. A request that
insists on a call is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from frontend.api.validate import clean
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ToolCall

MAX_TOOLS = 1024
MAX_CALLS = 128
MAX_NAME_CHARS = 64
MAX_ID_CHARS = 256
# OpenAI's rule for the names of functions.
NAME_PATTERN = rf"^[a-zA-Z0-9_-]{{1,{MAX_NAME_CHARS}}}$"
_NAME = re.compile(NAME_PATTERN[:-1] + r"\Z")
_FORCED = "calls cannot be forced yet; send `tool_choice` 'auto' or 'none'"


def check_tools(tools: object, choice: object) -> None:
    """Raise `InvalidRequest` where ``tools`` or ``choice`` are malformed, and
    `UnsupportedParameter` where they insist on a call."""
    _check_choice(choice, set(_names(tools)))


def _names(tools: object) -> Iterator[str]:
    """The names of ``tools``, each once."""
    if tools is None:
        return
    if not isinstance(tools, list):
        raise _wrong("tools", "must be an array")
    if len(tools) > MAX_TOOLS:
        raise _wrong("tools", f"must have at most {MAX_TOOLS} items")
    seen: set[str] = set()
    for at, tool in enumerate(tools):
        name = _tool_name(tool, f"tools[{at}]")
        if name in seen:
            raise _wrong(f"tools[{at}].function.name", "must differ from other tools' names")
        seen.add(name)
        yield name


def _tool_name(tool: object, path: str) -> str:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if not isinstance(tool, dict) or not isinstance(kind, str):
        raise _wrong(path, "must be an object with a `type`")
    if kind != "function":
        raise UnsupportedParameter(
            f"`{path}.type`: only tools of type 'function' are supported", param=f"{path}.type"
        )
    function = tool.get("function")
    if not isinstance(function, dict):
        raise _wrong(f"{path}.function", "must be an object")
    _optional(function, "description", str, "a string", f"{path}.function")
    _optional(function, "parameters", dict, "an object, a JSON Schema", f"{path}.function")
    _optional(function, "strict", bool, "true or false", f"{path}.function")
    return _name(function.get("name"), f"{path}.function.name")


def _optional(function: dict[str, Any], key: str, kind: type, words: str, path: str) -> None:
    if function.get(key) is not None and not isinstance(function[key], kind):
        raise _wrong(f"{path}.{key}", f"must be {words}")


def _name(given: object, path: str) -> str:
    if not isinstance(given, str):
        raise _wrong(path, "must be a string")
    if not _NAME.match(given):
        raise _wrong(
            path, f"must have 1 to {MAX_NAME_CHARS} letters of a-z and A-Z, digits, _ and -"
        )
    return given


def _check_choice(choice: object, names: set[str]) -> None:
    if choice in (None, "none", "auto"):
        return
    if choice == "required":
        raise UnsupportedParameter(f"`tool_choice` 'required': {_FORCED}", param="tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or kind not in ("function", "allowed_tools", "custom"):
        raise _wrong(
            "tool_choice", "must be 'none', 'auto', 'required' or an object that names a tool"
        )
    if kind == "allowed_tools":
        _check_allowed(choice.get("allowed_tools"), names)
        return
    if kind == "function":
        _check_named(choice.get("function"), "tool_choice.function", names)
    raise UnsupportedParameter(f"`tool_choice` of a tool: {_FORCED}", param="tool_choice")


def _check_allowed(allowed: object, names: set[str]) -> None:
    path = "tool_choice.allowed_tools"
    if not isinstance(allowed, dict) or allowed.get("mode") not in ("auto", "required"):
        raise _wrong(path, "must be an object with a `mode` of 'auto' or 'required'")
    tools = allowed.get("tools")
    if not isinstance(tools, list):
        raise _wrong(f"{path}.tools", "must be an array")
    for at, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        _check_named(function, f"{path}.tools[{at}].function", names)
    if allowed["mode"] == "required":
        raise UnsupportedParameter(f"`{path}.mode` 'required': {_FORCED}", param="tool_choice")


def _check_named(function: object, path: str, names: set[str]) -> None:
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or name not in names:
        raise _wrong(f"{path}.name", "must be the name of one of `tools`", param="tool_choice")


# --- calls in a history --------------------------------------------------------------------------


def read_calls(given: object, path: str, default_id: str) -> list[ToolCall]:
    """The calls of an assistant's turn; none where ``given`` is null. One without an id gets one
    that begins with ``default_id``. Raises `InvalidRequest`."""
    if given is None:
        return []
    if not isinstance(given, list):
        raise _wrong(path, "must be an array")
    if len(given) > MAX_CALLS:
        raise _wrong(path, f"must have at most {MAX_CALLS} items")
    return [_call(call, f"{path}[{at}]", f"{default_id}_{at}") for at, call in enumerate(given)]


def read_function_call(given: object, path: str, default_id: str) -> list[ToolCall]:
    """The call in the form that came before `tool_calls`, which had no id."""
    return [] if given is None else [_function(given, path, default_id)]


def _call(call: object, path: str, default_id: str) -> ToolCall:
    if not isinstance(call, dict):
        raise _wrong(path, "must be an object")
    if call.get("type") not in (None, "function"):
        raise UnsupportedParameter(
            f"`{path}.type`: only calls of type 'function' are supported", param=f"{path}.type"
        )
    given_id = call.get("id")
    call_id = default_id if given_id is None else read_id(given_id, f"{path}.id")
    return _function(call.get("function"), f"{path}.function", call_id)


def _function(function: object, path: str, call_id: str) -> ToolCall:
    if not isinstance(function, dict):
        raise _wrong(path, "must be an object")
    name = _name(function.get("name"), f"{path}.name")
    arguments = _arguments(function.get("arguments"), f"{path}.arguments")
    return ToolCall(id=call_id, name=name, arguments=arguments)


def _arguments(given: object, path: str) -> str:
    """The JSON text of an object. Models call without arguments by an empty text or by null;
    some clients send the object itself."""
    if given is None or (isinstance(given, str) and given.strip() in ("", "null")):
        return "{}"
    if isinstance(given, dict):
        return orjson.dumps(given).decode()
    if isinstance(given, str):
        try:
            if isinstance(orjson.loads(given), dict):
                return clean(given, path)
        except orjson.JSONDecodeError:
            pass
    raise _wrong(path, "must be a JSON object, as text")


def read_id(given: object, path: str) -> str:
    if not isinstance(given, str) or not given or len(given) > MAX_ID_CHARS:
        raise _wrong(path, f"must be a string of 1 to {MAX_ID_CHARS} characters")
    return clean(given, path)


def _wrong(path: str, rule: str, *, param: str | None = None) -> InvalidRequest:
    return InvalidRequest(f"`{path}` {rule}", param=param or path)
