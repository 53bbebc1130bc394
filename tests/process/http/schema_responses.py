"""Requests for responses that schemathesis makes up: what a schema cannot say is brought in order,
what is wrong by the schema is left alone."""

from __future__ import annotations

from typing import Any

from frontend.api.responses.format import TextOptions
from frontend.api.validate import check
from ipc.messages.errors import ServeError

SAID = {"role": "user", "content": "x"}


def response_in_order(body: dict[str, Any]) -> None:
    _previous(body)
    _tools(body)
    _choice(body)
    _form(body)
    _items(body)


def _previous(body: dict[str, Any]) -> None:
    """No response has a name that is made up; what goes on from none must say something itself."""
    if isinstance(body.get("previous_response_id"), str):
        del body["previous_response_id"]
        if body.get("input") == []:
            body["input"] = [SAID]


def _tools(body: dict[str, Any]) -> None:
    """Tools differ in their names, and their schemas are some."""
    tools = body.get("tools")
    if not isinstance(tools, list):
        return
    names: set[str] = set()
    kept = []
    for tool in tools:
        name = tool.get("name") if _is_callable(tool) else None
        if isinstance(name, str) and name in names:
            continue
        if isinstance(name, str):
            names.add(name)
        if isinstance(tool, dict) and isinstance(tool.get("parameters"), dict):
            tool["parameters"] = {"type": "object"}
        kept.append(tool)
    body["tools"] = kept


def _choice(body: dict[str, Any]) -> None:
    """What is chosen is one of the tools that there are."""
    choice = body.get("tool_choice")
    if choice == "required" and not any(map(_is_callable, body.get("tools") or ())):
        body["tool_choice"] = "auto"
    if not isinstance(choice, dict):
        return
    if _is_callable(choice) and isinstance(choice.get("name"), str):
        body["tool_choice"] = "auto"
    if choice.get("type") == "allowed_tools" and choice.get("mode") in ("auto", "required"):
        allowed = choice.get("tools")
        if isinstance(allowed, list) and all(map(_is_reference, allowed)):
            body["tool_choice"] = "auto"


def _form(body: dict[str, Any]) -> None:
    """The schema of a form is one indeed."""
    text = body.get("text")
    if not isinstance(text, dict):
        return
    try:
        check(TextOptions, text)
    except ServeError:
        return
    body["text"] = {}


def _items(body: dict[str, Any]) -> None:
    """Arguments are the text of an object, and somebody says something."""
    items = body.get("input")
    if not isinstance(items, list):
        return
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("arguments"), str):
            item["arguments"] = "{}"
    if items:
        items.append(SAID)


def _is_callable(tool: object) -> bool:
    return isinstance(tool, dict) and tool.get("type") in ("function", "custom")


def _is_reference(tool: object) -> bool:
    if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
        return False
    return not _is_callable(tool) or isinstance(tool.get("name"), str)
