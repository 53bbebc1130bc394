"""Items as the messages of a chat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

import orjson

from frontend.api.openai.messages_request import RefusalPart
from frontend.api.responses.input_items import (
    AssistantItem,
    CallItem,
    Content,
    CustomCallItem,
    ImagePart,
    InstructionItem,
    Item,
    OutputItem,
    Part,
    ReasoningItem,
    ReferenceItem,
    SkippedItem,
    TextPart,
    UserItem,
)
from frontend.api.responses.tools import INPUT, ChatWords


def turns(instructions: str | None, placed: Iterable[tuple[str, Item]]) -> ChatWords:
    """The messages that ``instructions`` and items make, each of which comes with its place in the
    request."""
    writer = _Turns()
    if instructions:
        placed = [("instructions", InstructionItem(role="system", content=instructions)), *placed]
    for place, item in placed:
        writer.add(place, item)
    return ChatWords(writer.messages, writer.names)


class _Turns:
    """What an assistant thinks, says and calls, one after the other, is one turn."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.names: dict[str, str] = {}

    def add(self, place: str, item: Item) -> None:
        match item:
            case UserItem() | InstructionItem():
                self._open(place, {"role": item.role, "content": _content(item.content)})
            case AssistantItem():
                turn = self._assistant(place, "content", "tool_calls")
                turn["content"] = _content(item.content)
            case ReasoningItem():
                if item.text:
                    turn = self._assistant(place, "reasoning_content", "content", "tool_calls")
                    turn["reasoning_content"] = item.text
            case CallItem():
                self._call(place, item.call_id, item.name, item.arguments)
            case CustomCallItem():
                arguments = orjson.dumps({INPUT: item.input}).decode()
                self._call(place, item.call_id, item.name, arguments)
            case OutputItem():
                content = _content(item.output)
                result = {"role": "tool", "tool_call_id": item.call_id, "content": content}
                self._open(place, result)
            case SkippedItem() | ReferenceItem():
                pass
            case _:
                assert_never(item)

    def _call(self, place: str, call_id: str, name: str, arguments: str) -> None:
        calls = self._assistant(place).setdefault("tool_calls", [])
        path = f"messages[{len(self.messages) - 1}].tool_calls[{len(calls)}]"
        self.names |= {f"{path}.function": place, path: place}
        function = {"name": name, "arguments": arguments}
        calls.append({"id": call_id, "type": "function", "function": function})

    def _assistant(self, place: str, *unless: str) -> dict[str, Any]:
        """The assistant's turn that is last, or a new one where there is none without any of the
        keys ``unless``."""
        last = self.messages[-1] if self.messages else {}
        if last.get("role") == "assistant" and not any(key in last for key in unless):
            return last
        return self._open(place, {"role": "assistant"})

    def _open(self, place: str, turn: dict[str, Any]) -> dict[str, Any]:
        path = f"messages[{len(self.messages)}]"
        self.names[path] = place
        if turn["role"] == "tool":
            self.names[f"{path}.content"] = f"{place}.output"
        self._name_images(path, place, turn.get("content"))
        self.messages.append(turn)
        return turn

    def _name_images(self, path: str, place: str, content: object) -> None:
        """An image's address is a text here, and an object there."""
        parts = content if isinstance(content, list) else ()
        for at, part in enumerate(parts):
            if part["type"] == "image_url":
                own = f"{place}.content[{at}].image_url"
                self.names[f"{path}.content[{at}].image_url.url"] = own


def _content(content: Content) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case RefusalPart():
            return {"type": "refusal", "refusal": part.refusal}
        case ImagePart():
            return {"type": "image_url", "image_url": {"url": part.image_url}}
        case _:  # by the chat's name for it, since it refuses it
            return {"type": {"input_file": "file"}.get(part.type, part.type)}
