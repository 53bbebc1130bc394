"""From the text of an answer to what it says: content, reasoning and calls.

A parser reads one answer. It may hold text back until it knows what it is, and says what is left of
it at the end. Stop texts have been cut off before it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Content(NamedTuple):
    """A piece of what the client is to read."""

    text: str


class Thought(NamedTuple):
    """A piece of what the model thinks before it answers."""

    text: str


class Opened(NamedTuple):
    """A call whose tool is known; `Arguments` follow, up to the next `Opened`."""

    id: str
    name: str


class Arguments(NamedTuple):
    """A piece of the JSON text that the call opened last is given."""

    text: str


Said = Content | Thought | Opened | Arguments


class Parser(Protocol):
    """The state of reading one answer."""

    @property
    def preserved(self) -> frozenset[str]:
        """Texts of control tokens that must be in what it reads."""
        ...

    @property
    def thinking(self) -> bool:
        """Whether what comes next is reasoning, as far as is known."""
        ...

    @property
    def over(self) -> bool:
        """Whether nothing that may still come is part of the answer."""
        ...

    def push(self, text: str) -> Sequence[Said]:
        """What is known once ``text`` has come, which is never empty."""
        ...

    def finish(self, *, cut: bool = False) -> Sequence[Said]:
        """What was held back, once nothing more will come. ``cut``: the answer was not ended by
        its model."""
        ...


class PlainText:
    """A `Parser` for models that mark nothing: all is content, at once."""

    preserved: frozenset[str] = frozenset()
    thinking = False
    over = False

    def push(self, text: str) -> Sequence[Said]:
        return (Content(text),)

    def finish(self, *, cut: bool = False) -> Sequence[Said]:  # noqa: ARG002
        return ()
