"""The dialect of a template that writes calls and their results by itself."""

from __future__ import annotations

from collections.abc import Sequence

from ipc.messages.jobs import ChatInput
from worker.chat.dialects.dialect import ForTemplate, Turn
from worker.chat.parser import Parser, PlainText


class Native:
    """A `Dialect`: the template is given everything as it is."""

    name = "native"
    calls_tools = False

    def history(self, turns: Sequence[Turn], tools: Sequence[Turn] = ()) -> ForTemplate:
        return ForTemplate(list(turns), list(tools) or None)

    def parser(self, asked: ChatInput, tail: str) -> Parser:  # noqa: ARG002
        return PlainText()


NATIVE = Native()
