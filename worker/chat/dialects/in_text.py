"""Calls and their results as text, for chat templates that would leave them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ipc.messages.jobs import ChatInput
from worker.chat.dialects.dialect import ForTemplate, Turn
from worker.chat.parser import Parser, PlainText


@dataclass(frozen=True)
class CallsInText:
    """A `Dialect` whose template knows no calls. ``calls`` writes those of one turn, given the name
    and the arguments of each; ``result`` writes a tool's turn."""

    name: str
    calls: Callable[[Sequence[Turn]], str]
    result: Callable[[Turn], str]
    calls_tools = False

    def history(self, turns: Sequence[Turn], tools: Sequence[Turn] = ()) -> ForTemplate:  # noqa: ARG002
        """Calls are in the text of the assistant and results in that of the user. What the user
        says after a result is in the same turn, since some templates want roles to alternate."""
        written: list[Turn] = []
        after_result = False
        for turn in turns:
            plain = self._plain(turn)
            if after_result and plain["role"] == "user":
                before = written.pop()
                plain = before | {"content": _joined(before["content"], plain["content"])}
            written.append(plain)
            after_result = turn["role"] == "tool"
        return ForTemplate(written)

    def parser(self, asked: ChatInput, tail: str) -> Parser:  # noqa: ARG002
        return PlainText()

    def _plain(self, turn: Turn) -> Turn:
        if turn["role"] == "tool":
            return {"role": "user", "content": self.result(turn)}
        if turn.get("tool_calls"):
            text = self.calls([call["function"] for call in turn["tool_calls"]])
            said = f"{turn['content']}\n{text}" if turn["content"] else text
            return {"role": turn["role"], "content": said}
        return turn


def in_parts(content: str | list[Any]) -> list[Any]:
    """``content`` as templates for images have it."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _joined(before: str | list[Any], after: str | list[Any]) -> str | list[Any]:
    if isinstance(before, str) and isinstance(after, str):
        return f"{before}\n{after}"
    return [*in_parts(before), *in_parts(after)]
