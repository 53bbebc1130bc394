"""Loaded by schemathesis, which sends what the description allows and what it does not."""

from __future__ import annotations

from typing import Any

import schemathesis

ECHO_DIMENSIONS = 8


@schemathesis.hook
def before_call(_: Any, case: Any, __: Any) -> None:
    """Bring in order what a schema cannot say, and leave alone what is wrong by the schema."""
    if isinstance(case.body, dict):
        _dimensions(case.body)
        _least(case.body)
        _tools(case.body)
        _allowed(case.body)
        _arguments(case.body)


def _dimensions(body: dict[str, Any]) -> None:
    """How many dimensions a model can make is known to its engine only."""
    if _count(body.get("dimensions"), 1):
        body["dimensions"] = ECHO_DIMENSIONS


def _least(body: dict[str, Any]) -> None:
    """An answer's least length is at most its greatest."""
    if _count(body.get("min_tokens"), 0) and body["min_tokens"] < 2**31:
        body["min_tokens"] = 0


def _tools(body: dict[str, Any]) -> None:
    """Tools differ in their names."""
    tools = body.get("tools")
    if not isinstance(tools, list) or not all(isinstance(_name(tool), str) for tool in tools):
        return
    different: dict[str, Any] = {}
    for tool in tools:
        different.setdefault(_name(tool), tool)
    body["tools"] = list(different.values())


def _allowed(body: dict[str, Any]) -> None:
    """Tools that are allowed are tools that there are."""
    choice = body.get("tool_choice")
    allowed = choice.get("allowed_tools") if isinstance(choice, dict) else None
    if not isinstance(allowed, dict) or not isinstance(tools := allowed.get("tools"), list):
        return
    if all(isinstance(_name(tool), str) for tool in tools):
        allowed["tools"] = []


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


def _count(value: Any, least: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= least
