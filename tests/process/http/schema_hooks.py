"""Loaded by schemathesis, which sends what the description allows and what it does not."""

from __future__ import annotations

import re
from typing import Any

import schemathesis

from frontend.api.openai.format_request import FormatRequest
from frontend.api.validate import check
from ipc.messages.errors import ServeError
from tests.process.http.schema_responses import response_in_order

ECHO_DIMENSIONS = 8
RESPONSES = ("/v1/responses", "/v1/responses/input_tokens")
# How many parts a form may have, and what the names of those look like that mean something.
MOST_PARTS, KNOWN_PART = 20, re.compile(r"[a-z_]+(\[\])?")
# What these tell has no end.
FOLLOWED = ("/admin/events", "/admin/logs/{process}")


@schemathesis.hook
def before_call(_: Any, case: Any, __: Any) -> None:
    """Bring in order what a schema cannot say, and leave alone what is wrong by the schema."""
    if case.path in FOLLOWED and (case.query or {}).get("follow", "true") in ("true", "1"):
        case.query = {**(case.query or {}), "follow": "false"}
    if case.media_type == "multipart/form-data" and isinstance(case.body, dict):
        case.body = _few_parts(case.body)
    if isinstance(case.body, dict) and case.path in RESPONSES:
        _least(case.body)
        _names(case.body)
        response_in_order(case.body)
    elif isinstance(case.body, dict):
        _dimensions(case.body)
        _least(case.body)
        _names(case.body)
        _tools(case.body)
        _choice(case.body)
        _arguments(case.body)
        _form(case.body)
        _anthropics(case.body)


def _few_parts(body: dict[str, Any]) -> dict[str, Any]:
    """Of a form with more parts than are read, those that mean something."""
    parts = sum(len(value) if isinstance(value, list) else 1 for value in body.values())
    if parts <= MOST_PARTS:
        return body
    return {name: value for name, value in body.items() if KNOWN_PART.fullmatch(name)}


def _dimensions(body: dict[str, Any]) -> None:
    """How many dimensions a model can make is known to its engine only."""
    if _count(body.get("dimensions"), 1):
        body["dimensions"] = ECHO_DIMENSIONS


def _least(body: dict[str, Any]) -> None:
    """An answer's least length is at most its greatest."""
    if _count(body.get("min_tokens"), 0) and body["min_tokens"] < 2**31:
        body["min_tokens"] = 0


def _names(body: dict[str, Any]) -> None:
    """Of two names for one thing one is used, where both say something that is right."""
    if all(_within(body.get(name), 1, 8) for name in ("n", "n_cmpl")):
        del body["n_cmpl"]
    if all(_within(body.get(name), 0.01, 10) for name in ("repetition_penalty", "repeat_penalty")):
        del body["repeat_penalty"]
    if _objects(body.get("tools")) and _objects(body.get("functions")):
        body["functions"] = []


def _tools(body: dict[str, Any]) -> None:
    """Tools differ in their names."""
    for key, name_of in (("tools", _name), ("functions", _own_name)):
        tools = body.get(key)
        if not isinstance(tools, list) or not all(isinstance(name_of(one), str) for one in tools):
            continue
        different: dict[str, Any] = {}
        for tool in tools:
            different.setdefault(name_of(tool), tool)
        body[key] = list(different.values())


def _choice(body: dict[str, Any]) -> None:
    """What is chosen is one of the tools that there are."""
    choice, call = body.get("tool_choice"), body.get("function_call")
    if choice == "required" and not body.get("tools") and not body.get("functions"):
        body["tool_choice"] = "auto"
    if isinstance(call, dict) and isinstance(call.get("name"), str):
        body["function_call"] = "auto"
    if not isinstance(choice, dict):
        return
    if choice.get("type") == "function" and isinstance(_name(choice), str):
        body["tool_choice"] = "auto"
    allowed = choice.get("allowed_tools")
    if not isinstance(allowed, dict) or not isinstance(tools := allowed.get("tools"), list):
        return
    if all(isinstance(_name(tool), str) for tool in tools):
        allowed["tools"] = []
        allowed["mode"] = "auto" if allowed.get("mode") == "required" else allowed.get("mode")


def _form(body: dict[str, Any]) -> None:
    """One key asks for a form, and what it holds is a schema, a pattern or a grammar indeed."""
    for key in ("tools", "functions"):
        for tool in _objects(body.get(key)):
            function = tool.get("function") if key == "tools" else tool
            if isinstance(function, dict) and isinstance(function.get("parameters"), dict):
                function["parameters"] = {"type": "object"}
    try:
        check(FormatRequest, {key: body[key] for key in FormatRequest.model_fields if key in body})
    except ServeError:
        return
    for key in FormatRequest.model_fields:
        body.pop(key, None)


def _anthropics(body: dict[str, Any]) -> None:
    """The same for what Anthropic's API has in other places; and somebody says something."""
    own: dict[str, Any] = {}
    for at, tool in enumerate(_objects(body.get("tools"))):
        if isinstance(tool.get("input_schema"), dict):
            tool["input_schema"] = {"type": "object"}
            own.setdefault(str(tool.get("name")), at)
    if own:
        body["tools"] = [
            tool
            for at, tool in enumerate(body["tools"])
            if not isinstance(tool, dict)
            or "input_schema" not in tool
            or own.get(str(tool.get("name"))) == at
        ]
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in ("any", "tool"):
        body["tool_choice"] = {"type": "auto"} if _is_choice(choice) else choice
    config = body.get("output_config")
    forms = [body.get("output_format"), config.get("format") if isinstance(config, dict) else None]
    for form in forms:
        if isinstance(form, dict) and isinstance(form.get("schema"), dict | bool):
            form["schema"] = {"type": "object"}
    if all(isinstance(form, dict) for form in forms):
        del body["output_format"]
    for turn in _objects(body.get("messages")):
        if turn.get("role") == "system" and _is_silent(turn.get("content")):
            turn["content"] = "x"


def _is_silent(content: Any) -> bool:
    """Whether a content has nothing but empty texts, which are dropped."""
    if not isinstance(content, list):
        return bool(content == "")
    said = [one for one in _objects(content) if one.get("text") == "" and one.get("type") == "text"]
    return len(said) == len(content)


def _is_choice(choice: dict[str, Any]) -> bool:
    """Whether it is one by its schema."""
    flag = choice.get("disable_parallel_tool_use")
    named = choice["type"] == "any" or _is_text(choice.get("name"))
    return named and (flag is None or isinstance(flag, bool))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _arguments(body: dict[str, Any]) -> None:
    """The arguments of a call, where they are text, are the text of an object."""
    for turn in _objects(body.get("messages")):
        functions = [call.get("function") for call in _objects(turn.get("tool_calls"))]
        for function in (*functions, turn.get("function_call")):
            if isinstance(function, dict) and isinstance(function.get("arguments"), str):
                function["arguments"] = "{}"


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; none, where it is not one."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _name(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    return function.get("name") if isinstance(function, dict) else None


def _own_name(function: Any) -> Any:
    return function.get("name") if isinstance(function, dict) else None


def _count(value: Any, least: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= least


def _within(value: Any, least: float, most: float) -> bool:
    return _count(value, least) and value <= most
