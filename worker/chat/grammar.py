"""What an answer may look like: a constraint on its text, the same for every token engine.

`grammar_of` compiles what a request asks for; each token engine writes the result in the form of
its library. They match on its type, so mypy names every engine that does not know a new one.
"""

from __future__ import annotations

from typing import NamedTuple

from ipc.grammar.forms import FormError, rules_of
from ipc.grammar.rules import Rules
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ChatInput
from worker.chat.dialects.dialect import Dialect


class AnyText(NamedTuple):
    """Every answer is fine."""


Grammar = AnyText | Rules


def grammar_of(asked: ChatInput, dialect: Dialect, tail: str) -> Grammar:  # noqa: ARG001
    """What the answer to ``asked`` may look like, whose prompt ends with ``tail``: a call where
    there must be one, in the ``dialect``; content of the form that was asked for.

    Raises `InvalidRequest`.
    """
    if asked.must_call:
        raise UnsupportedParameter("forced calls are not built yet")
    if asked.form is None:
        return AnyText()
    try:
        return rules_of(asked.form)
    except FormError as error:  # the frontend refuses such, so it came by another way
        raise InvalidRequest(f"the form of the answer cannot be kept: {error}") from error
