"""How far the stream of a chat has come that the echo engine answers."""

from __future__ import annotations

import json
import math
from typing import Any

# So much of a call's arguments is a token there.
ARGUMENT_CHARS = 4


def events(lines: list[str]) -> list[dict[str, Any]]:
    """What its lines say, with or without the words before each."""
    found = (line.removeprefix("data: ") for line in lines)
    return [json.loads(data) for data in found if data.startswith("{")]


def tokens(lines: list[str]) -> int:
    """How many tokens its lines hold: words, thoughts and pieces of calls, of all choices."""
    found = 0
    said: dict[tuple[int, str], str] = {}
    arguments: dict[tuple[int, int], str] = {}
    for event in events(lines):
        for choice in event.get("choices", ()):
            delta, at = choice["delta"], choice["index"]
            for kind in ("content", "reasoning_content"):
                said[at, kind] = said.get((at, kind), "") + (delta.get(kind) or "")
            for call in delta.get("tool_calls") or ():
                found += "name" in call["function"]
                place = at, call["index"]
                arguments[place] = arguments.get(place, "") + call["function"].get("arguments", "")
    found += sum(len(text.split()) for text in said.values())
    return found + sum(math.ceil(len(text) / ARGUMENT_CHARS) for text in arguments.values())
