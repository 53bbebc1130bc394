"""What an answer says, told as it is read: its whitespace in the right place, its calls checked."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from typing import Any

from worker.chat.parser import Arguments, Content, Opened, Said, Thought
from worker.chat.parsing.source import Malformed, Source

# The schema of a tool's arguments, by the tool's name.
Schemas = Mapping[str, Mapping[str, Any]]

_ID_LETTERS = string.ascii_letters + string.digits


class Over(Exception):
    """What comes next is no part of the answer."""


class Says:
    """What has been read of ``source`` and not yet been told. Only ``tools`` may be called, and
    more than once with ``parallel``.

    Whitespace beside markup belongs to the markup, so it is held back until it is known what
    follows.
    """

    def __init__(self, source: Source, tools: Schemas, *, parallel: bool) -> None:
        self._source = source
        self._tools = tools
        self._parallel = parallel
        self._said: list[Said] = []
        self._space = ""
        self._kind: type[Content | Thought] = Content
        self._after_markup = False
        self.calls = 0
        self.in_call = False
        self.schema: Mapping[str, Any] = {}  # of the call opened last

    def told(self) -> list[Said]:
        """All that has been said since the last time."""
        said, self._said = self._said, []
        return said

    def content(self, text: str) -> None:
        self._spaced(Content, text)

    def thought(self, text: str) -> None:
        self._spaced(Thought, text)

    def markup(self) -> None:
        """What was read is markup, and so is the whitespace beside it."""
        self._space = ""
        self._after_markup = True

    def as_written(self, text: str) -> None:
        """``text`` is content with all of its whitespace."""
        self.end()
        if text:
            self._said.append(Content(text))

    def opened(self, name: str) -> None:
        """A call has begun. Raises `Malformed` where there is no tool of this ``name``."""
        if name not in self._tools:
            raise Malformed
        self.markup()
        self.in_call = True
        self.calls += 1
        self.schema = self._tools[name]
        self._source.release()  # it is a call, whatever comes
        self._said.append(Opened(new_id(), name))

    def arguments(self, text: str) -> None:
        if text:
            self._said.append(Arguments(text))

    def closed(self) -> None:
        """The call is complete. Raises `Over` where there must not be another."""
        self.in_call = False
        self._source.hold()
        if not self._parallel:
            raise Over

    def adopt(self, said: list[Said]) -> None:
        """Say what another has said: calls, and nothing else."""
        self.markup()
        count = sum(isinstance(one, Opened) for one in said)
        if count > 1 and not self._parallel:
            second = [at for at, one in enumerate(said) if isinstance(one, Opened)][1]
            said = said[:second]
        self._said += said
        self.calls += count

    def end(self) -> None:
        """The whitespace that was held back stands beside no markup."""
        if self._space:
            self._said.append(self._kind(self._space))
            self._space = ""

    def _spaced(self, kind: type[Content | Thought], text: str) -> None:
        if self._after_markup:
            text = text.lstrip()
            self._after_markup = not text
        if not text:
            return
        self._kind = kind
        text = self._space + text
        said = text.rstrip()
        self._space = text[len(said) :]
        if said:
            self._said.append(kind(said))


def new_id() -> str:
    """The id of a call, such as OpenAI's."""
    return "call_" + "".join(secrets.choice(_ID_LETTERS) for _ in range(24))
