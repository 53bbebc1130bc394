"""Calls and their results as text, for chat templates that would leave them out.

The forms are the plain ones that models without a format of their own are asked for: an object
with ``tool_calls`` in the assistant's turn, one with ``tool_response`` in the user's. OpenVINO
GenAI writes the same for such templates.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

Turn = dict[str, Any]

_NAME, _VALUE, _RESULT = "zqcallqz", "zqvalueqz", "zqresultqz"
# What a template is asked to render once. Mistral's demand an id of this length.
PROBE: list[Turn] = [
    {"role": "user", "content": "a"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "zqidqz123",
                "type": "function",
                "function": {"name": _NAME, "arguments": {"key": _VALUE}},
            }
        ],
    },
    {"role": "tool", "content": _RESULT, "tool_call_id": "zqidqz123", "name": _NAME},
]


def shows_calls(rendered: str) -> bool:
    """Whether what a template made of `PROBE` has all of it."""
    return all(text in rendered for text in (_NAME, _VALUE, _RESULT))


def calls_as_text(turns: Sequence[Turn]) -> list[Turn]:
    """``turns`` with calls in the text of the assistant and results in that of the user. What the
    user says after a result is in the same turn, since some templates want roles to alternate."""
    written: list[Turn] = []
    after_result = False
    for turn in turns:
        plain = _plain(turn)
        if after_result and plain["role"] == "user":
            before = written.pop()
            plain = before | {"content": _joined(before["content"], plain["content"])}
        written.append(plain)
        after_result = turn["role"] == "tool"
    return written


def in_parts(content: str | list[Any]) -> list[Any]:
    """``content`` as templates for images have it."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _joined(before: str | list[Any], after: str | list[Any]) -> str | list[Any]:
    if isinstance(before, str) and isinstance(after, str):
        return f"{before}\n{after}"
    return [*in_parts(before), *in_parts(after)]


def _plain(turn: Turn) -> Turn:
    if turn["role"] == "tool":
        return {"role": "user", "content": _result(turn)}
    if turn.get("tool_calls"):
        return {"role": turn["role"], "content": _calls(turn)}
    return turn


def _calls(turn: Turn) -> str:
    calls = [call["function"] for call in turn["tool_calls"]]
    made = [{"name": call["name"], "arguments": call["arguments"]} for call in calls]
    text = json.dumps({"tool_calls": made}, ensure_ascii=False)
    return f"{turn['content']}\n{text}" if turn["content"] else text


def _result(turn: Turn) -> str:
    named = {"name": turn["name"]} if turn.get("name") else {}
    return json.dumps({"tool_response": {**named, "content": turn["content"]}}, ensure_ascii=False)
