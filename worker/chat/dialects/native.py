"""The dialect of a template that writes calls and their results by itself."""

from __future__ import annotations

from collections.abc import Sequence

from worker.chat.dialects.dialect import Turn
from worker.chat.parser import Parser, PlainText


class Native:
    """A `Dialect`: the template is given everything as it is."""

    def history(self, turns: Sequence[Turn]) -> list[Turn]:
        return list(turns)

    def parser(self) -> Parser:
        return PlainText()


NATIVE = Native()
