"""What an answer may look like: a constraint on its tokens, the same for every token engine.

`grammar_of` compiles what a request asks for; each token engine turns the result into the form of
its library. They match on its type, so mypy names every engine that does not know a new one.
"""

from __future__ import annotations

from typing import NamedTuple

from ipc.messages.jobs import ChatInput


class AnyText(NamedTuple):
    """Every answer is fine."""


Grammar = AnyText


def grammar_of(asked: ChatInput) -> Grammar:  # noqa: ARG001
    """What the answer to ``asked`` may look like: no request can ask for a form yet."""
    return AnyText()
