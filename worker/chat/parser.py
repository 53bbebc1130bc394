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

    def push(self, text: str) -> Sequence[Said]:
        """What is known once ``text`` has come, which is never empty."""
        ...

    def finish(self) -> Sequence[Said]:
        """What was held back, once nothing more will come."""
        ...


class PlainText:
    """A `Parser` for models that mark nothing: all is content, at once."""

    def push(self, text: str) -> Sequence[Said]:
        return (Content(text),)

    def finish(self) -> Sequence[Said]:
        return ()
