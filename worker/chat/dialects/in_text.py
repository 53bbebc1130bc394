"""Calls, their results and tools as text, for chat templates that would leave them out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from worker.chat.dialects.dialect import Turn


def with_names(turns: Sequence[Turn]) -> list[Turn]:
    """``turns`` in which each result has the name of the tool that it is of: some templates write
    it, and clients leave it out."""
    names: dict[str, str] = {}
    named: list[Turn] = []
    for turn in turns:
        for call in turn.get("tool_calls") or []:
            names[call["id"]] = call["function"]["name"]
        name = turn.get("name") or names.get(turn.get("tool_call_id") or "")
        named.append(turn | {"name": name} if turn["role"] == "tool" and name else dict(turn))
    return named


def calls_in_text(turns: Sequence[Turn], write: Callable[[Sequence[Turn]], str]) -> list[Turn]:
    """Calls are in the text of the assistant, after what it says, as ``write`` writes them."""
    return [_calls_in_text(turn, write) if turn.get("tool_calls") else turn for turn in turns]


def _calls_in_text(turn: Turn, write: Callable[[Sequence[Turn]], str]) -> Turn:
    text = write([call["function"] for call in turn["tool_calls"]])
    others = {key: value for key, value in turn.items() if key != "tool_calls"}
    return others | {"content": joined(turn["content"], text) if turn["content"] else text}


def results_in_text(turns: Sequence[Turn]) -> list[Turn]:
    """Results are in the text of the user. What the user says after one is in the same turn, since
    some templates want roles to alternate."""
    written: list[Turn] = []
    after_result = False
    for turn in turns:
        is_result = turn["role"] == "tool"
        plain = {"role": "user", "content": _result(turn)} if is_result else turn
        if after_result and plain["role"] == "user":
            before = written.pop()
            plain = before | {"content": joined(before["content"], plain["content"])}
        written.append(plain)
        after_result = is_result
    return written


def _result(turn: Turn) -> str:
    named = {"name": turn["name"]} if turn.get("name") else {}
    return json.dumps({"tool_response": {**named, "content": turn["content"]}}, ensure_ascii=False)


def with_system(turns: Sequence[Turn], text: str) -> list[Turn]:
    """``text`` at the end of the system's turn, which is the first."""
    if turns and turns[0]["role"] == "system":
        system, *others = turns
        return [system | {"content": joined(system["content"], text, "\n\n")}, *others]
    return [{"role": "system", "content": text}, *turns]


def in_parts(content: str | list[Any]) -> list[Any]:
    """``content`` as templates for images have it."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def joined(before: str | list[Any], after: str | list[Any], between: str = "\n") -> Any:
    """Both contents as one."""
    if isinstance(before, str) and isinstance(after, str):
        return f"{before}{between}{after}"
    return [*in_parts(before), *in_parts(after)]
