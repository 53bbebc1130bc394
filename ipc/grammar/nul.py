"""The character NUL, which ends a text for libraries in C: no answer can be made to have one."""

from __future__ import annotations

from ipc.grammar.characters import points_of
from ipc.grammar.rules import (
    Alternation,
    Characters,
    Concatenation,
    Expression,
    Reference,
    Repetition,
    Terminal,
)

_NUL = "\0"
_ONLY_NUL = ((0, 0),)


def asks_for_nul(expression: Expression) -> bool:
    """Whether some text of ``expression`` needs a NUL. A class that admits one among others needs
    none."""
    match expression:
        case Terminal(text):
            return _NUL in text
        case Characters():
            return points_of(expression) == _ONLY_NUL
        case Concatenation(parts) | Alternation(parts):
            return any(map(asks_for_nul, parts))
        case Repetition(part):
            return asks_for_nul(part)
        case Reference():
            return False
