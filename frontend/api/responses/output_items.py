"""The items of an answer: how each looks, and the events by which it comes about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from pydantic_core import from_json

from frontend.api.openai.chat_objects import logprobs_object
from frontend.api.responses.tools import INPUT
from frontend.api.whole_answer import Block, WholeCall, WholeReasoning, WholeText
from ipc.messages.events import CallArguments, Delta, Piece, Reasoning, TokenLogprob

Status = Literal["in_progress", "completed", "incomplete"]


class ItemEvent(NamedTuple):
    """``kind`` is what stands behind `response.` in the event's type."""

    kind: str
    data: dict[str, Any]


Events = Iterator[ItemEvent]


class OutputItem(Protocol):
    """One block of an answer, as the item ``at`` a place of its output."""

    at: int

    def told(self, status: Status) -> dict[str, Any]:
        """All of it, as far as it has come."""
        ...

    def opened(self) -> Events:
        """It begins: nothing of it has been told."""
        ...

    def grown(self, piece: Piece, /) -> Events:
        """``piece`` was added, which may be none of it, or say nothing."""
        ...

    def closed(self) -> Events:
        """No more of it will come."""
        ...


class Shape(NamedTuple):
    """What the request says of the items: which calls are texts, whether what was thought is told,
    and whether it stands in a summary too."""

    custom_tools: frozenset[str] = frozenset()
    shows_reasoning: bool = True
    summarizes: bool = False

    def shown(self, blocks: Sequence[Block]) -> Sequence[Block]:
        """Those that become items."""
        if self.shows_reasoning:
            return blocks
        return [block for block in blocks if not isinstance(block, WholeReasoning)]


PLAIN = Shape()


def item_of(block: Block, at: int, stem: str, shape: Shape) -> OutputItem:
    """The item at ``at`` of an answer, whose id is ``stem`` with its place: always the same."""
    if isinstance(block, WholeText):
        return _Message(block, at, f"msg_{stem}{at}")
    if isinstance(block, WholeReasoning):
        return _Thoughts(block, at, f"rs_{stem}{at}", shape.summarizes)
    if block.name in shape.custom_tools:
        return _CustomCall(block, at, f"ctc_{stem}{at}")
    return _Call(block, at, f"fc_{stem}{at}")


class _Message:
    def __init__(self, block: WholeText, at: int, item_id: str) -> None:
        self.at = at
        self._block = block
        self._id = item_id
        self._place = {"item_id": item_id, "output_index": at, "content_index": 0}

    def told(self, status: Status) -> dict[str, Any]:
        return self._item(status, [self._part()])

    def opened(self) -> Events:
        yield _added(self._place, self._item("in_progress", []))
        yield ItemEvent("content_part.added", self._place | {"part": _text_part("", [])})

    def grown(self, piece: Piece) -> Events:
        if isinstance(piece, Delta) and (piece.text or piece.logprobs):
            more = {"delta": piece.text, "logprobs": _logprobs(piece.logprobs)}
            yield ItemEvent("output_text.delta", self._place | more)

    def closed(self) -> Events:
        part = self._part()
        whole = {"text": part["text"], "logprobs": part["logprobs"]}
        yield ItemEvent("output_text.done", self._place | whole)
        yield ItemEvent("content_part.done", self._place | {"part": part})

    def _part(self) -> dict[str, Any]:
        return _text_part("".join(self._block.texts), _logprobs(self._block.logprobs))

    def _item(self, status: Status, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }


class _Thoughts:
    """``summarizes``: clients that show summaries only are told the same there."""

    def __init__(self, block: WholeReasoning, at: int, item_id: str, summarizes: bool) -> None:
        self.at = at
        self._block = block
        self._id = item_id
        self._summarizes = summarizes
        item = {"item_id": item_id, "output_index": at}
        self._content = item | {"content_index": 0}
        self._summary = item | {"summary_index": 0}

    def told(self, status: Status) -> dict[str, Any]:
        text = "".join(self._block.texts)
        summary = [_summary_part(text)] if self._summarizes else []
        return self._item(status, [_reasoning_part(text)], summary)

    def opened(self) -> Events:
        yield _added(self._content, self._item("in_progress", [], []))
        yield ItemEvent("content_part.added", self._content | {"part": _reasoning_part("")})
        if self._summarizes:
            part = {"part": _summary_part("")}
            yield ItemEvent("reasoning_summary_part.added", self._summary | part)

    def grown(self, piece: Piece) -> Events:
        if not isinstance(piece, Reasoning) or not piece.text:
            return
        more = {"delta": piece.text}
        yield ItemEvent("reasoning_text.delta", self._content | more)
        if self._summarizes:
            yield ItemEvent("reasoning_summary_text.delta", self._summary | more)

    def closed(self) -> Events:
        text = "".join(self._block.texts)
        yield ItemEvent("reasoning_text.done", self._content | {"text": text})
        yield ItemEvent("content_part.done", self._content | {"part": _reasoning_part(text)})
        if self._summarizes:
            part = {"part": _summary_part(text)}
            yield ItemEvent("reasoning_summary_text.done", self._summary | {"text": text})
            yield ItemEvent("reasoning_summary_part.done", self._summary | part)

    def _item(
        self, status: Status, content: Sequence[Mapping[str, Any]], summary: Sequence[Any]
    ) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "reasoning",
            "status": status,
            "summary": summary,
            "content": content,
            "encrypted_content": None,
        }


class _CallItem:
    """A call of some ``kind``, whose item has what the model wrote at the key ``written``."""

    kind: str
    written: str

    def __init__(self, block: WholeCall, at: int, item_id: str) -> None:
        self.at = at
        self._block = block
        self._id = item_id
        self._place = {"item_id": item_id, "output_index": at}

    def told(self, status: Status) -> dict[str, Any]:
        return self._item(status, self._text())

    def opened(self) -> Events:
        yield _added(self._place, self._item("in_progress", ""))

    def _text(self) -> str:
        return "".join(self._block.arguments)

    def _item(self, status: Status, text: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": self.kind,
            "status": status,
            "call_id": self._block.id,
            "name": self._block.name,
            self.written: text,
        }


class _Call(_CallItem):
    kind = "function_call"
    written = "arguments"

    def grown(self, piece: Piece) -> Events:
        if isinstance(piece, CallArguments) and piece.text:
            more = {"delta": piece.text}
            yield ItemEvent("function_call_arguments.delta", self._place | more)

    def closed(self) -> Events:
        whole = {"name": self._block.name, "arguments": self._text()}
        yield ItemEvent("function_call_arguments.done", self._place | whole)


class _CustomCall(_CallItem):
    """Its text is one argument of the call that a model writes, and is told when that is there."""

    kind = "custom_tool_call"
    written = "input"

    def grown(self, _: Piece) -> Events:
        yield from ()

    def closed(self) -> Events:
        text = self._text()
        if text:
            yield ItemEvent("custom_tool_call_input.delta", self._place | {"delta": text})
        yield ItemEvent("custom_tool_call_input.done", self._place | {"input": text})

    def _text(self) -> str:
        """As far as it was written: a call may be cut off."""
        arguments = super()._text()
        try:
            found = from_json(arguments, allow_partial="trailing-strings")
        except ValueError:
            return ""
        if not isinstance(found, dict) or not found:
            return ""
        text = found.get(INPUT)
        return text if isinstance(text, str) else arguments


def _added(place: Mapping[str, Any], item: dict[str, Any]) -> ItemEvent:
    return ItemEvent("output_item.added", {"output_index": place["output_index"], "item": item})


def _text_part(text: str, logprobs: list[Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _reasoning_part(text: str) -> dict[str, str]:
    return {"type": "reasoning_text", "text": text}


def _summary_part(text: str) -> dict[str, str]:
    return {"type": "summary_text", "text": text}


def _logprobs(logprobs: Sequence[TokenLogprob] | None) -> list[Any]:
    """Always there, and empty where nobody asked for them: some clients insist."""
    told = logprobs_object(logprobs)
    return told["content"] if told else []
