"""A conversation in Anthropic's words, as turns of a chat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from frontend.api.anthropic.blocks import (
    Base64Source,
    Block,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolReferenceBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from frontend.api.anthropic.request import PromptRequest

# Claude Code's, in front of its instructions. It differs from request to request, so that nothing
# which was computed for a prompt could be used for the next one.
_BILLING = "x-anthropic-billing-header"
_FAILED = "Error: "

Words = dict[str, Any]


class Placed(NamedTuple):
    """A block, and where the request has it."""

    path: str
    block: Block


class History:
    """Turns as `ChatRequest` has them. ``names`` are the client's for places in them;
    ``goes_on`` is whether the answer is to go on with the last one."""

    def __init__(self, asked: PromptRequest) -> None:
        self.turns: list[Words] = []
        self.names: dict[str, str] = {}
        self.goes_on = False
        for role, placed in _by_role(asked):
            self._read(role, placed)

    def _read(self, role: str, placed: list[Placed]) -> None:
        self.goes_on = False
        match role:
            case "system":
                self._instruct(placed)
            case "assistant":
                self._repeat(placed)
            case _:
                self._ask(placed)

    def _instruct(self, placed: list[Placed]) -> None:
        if texts := [text for text in map(_instruction, _texts(placed)) if text]:
            self._add(placed, {"role": "system", "content": "\n".join(texts)})

    def _repeat(self, placed: list[Placed]) -> None:
        """What the assistant has said."""
        texts = _texts(placed)
        turn: Words = {"role": "assistant", "content": [*map(_text_part, texts)]}
        thoughts = [one.block.thinking for one in placed if isinstance(one.block, ThinkingBlock)]
        if any(thoughts):
            turn["reasoning_content"] = "\n".join(thoughts)
        calls = [_call(one.block) for one in placed if isinstance(one.block, ToolUseBlock)]
        if calls:
            turn["tool_calls"] = calls
        self.goes_on = bool(texts) and not calls
        self._add(placed, turn)

    def _ask(self, placed: list[Placed]) -> None:
        """What the user has said. Results come first, as they do in Anthropic's API; a template has
        no place for images in them, so those are the user's."""
        parts: list[tuple[str, Words]] = []
        results = [one for one in placed if isinstance(one.block, ToolResultBlock)]
        for path, block in results:
            assert isinstance(block, ToolResultBlock)
            inner = _placed(f"{path}.content", block.content or "")
            self._add([Placed(path, block)], _result(block, inner))
            parts += _seen(one for one in inner if isinstance(one.block, ImageBlock))
        parts += _seen(placed)
        if parts or not results:
            self._name_images(parts)
            self._add(placed, {"role": "user", "content": [part for _, part in parts]})

    def _add(self, placed: list[Placed], turn: Words) -> None:
        self.names[f"messages[{len(self.turns)}]"] = placed[0].path if placed else "messages"
        self.turns.append(turn)

    def _name_images(self, parts: Sequence[tuple[str, Words]]) -> None:
        for at, (path, part) in enumerate(parts):
            here = f"messages[{len(self.turns)}].content[{at}]"
            self.names[here] = path
            if part["type"] == "image_url":
                self.names[f"{here}.image_url.url"] = f"{path}.source"


def _by_role(asked: PromptRequest) -> Iterable[tuple[str, list[Placed]]]:
    """The blocks of turns of one role beside each other, which are one."""
    turns = [("system", "system", asked.system or "")]
    turns += [
        (turn.role, f"messages[{at}].content", turn.content)  # type: ignore[misc]
        for at, turn in enumerate(asked.messages)
    ]
    for role, beside in groupby(turns, key=lambda turn: turn[0]):
        yield role, [one for _, path, content in beside for one in _placed(path, content)]


def _placed(path: str, content: str | Sequence[Block]) -> list[Placed]:
    if isinstance(content, str):
        return [Placed(path, TextBlock(type="text", text=content))]
    return [Placed(f"{path}[{at}]", block) for at, block in enumerate(content)]


def _texts(placed: Iterable[Placed]) -> list[str]:
    """Those that are not empty."""
    return [one.block.text for one in placed if isinstance(one.block, TextBlock) and one.block.text]


def _instruction(text: str) -> str:
    return text.partition("\n")[2] if text.startswith(_BILLING) else text


def _seen(placed: Iterable[Placed]) -> Iterable[tuple[str, Words]]:
    """Texts and images, each with its place."""
    for path, block in placed:
        if isinstance(block, TextBlock) and block.text:
            yield path, _text_part(block.text)
        elif isinstance(block, ImageBlock):
            yield path, {"type": "image_url", "image_url": {"url": _url(block)}}


def _text_part(text: str) -> Words:
    return {"type": "text", "text": text}


def _url(image: ImageBlock) -> str:
    if isinstance(image.source, Base64Source):
        return f"data:;base64,{image.source.data}"
    return image.source.url  # type: ignore[union-attr]


def _call(block: ToolUseBlock) -> Words:
    function = {"name": block.name, "arguments": block.input}
    return {"id": block.id, "type": "function", "function": function}


def _result(block: ToolResultBlock, inner: Sequence[Placed]) -> Words:
    texts = [
        one.block.tool_name if isinstance(one.block, ToolReferenceBlock) else one.block.text
        for one in inner
        if isinstance(one.block, TextBlock | ToolReferenceBlock)
    ]
    said = "\n".join(filter(None, texts))
    content = f"{_FAILED}{said}" if block.is_error else said
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": content}
