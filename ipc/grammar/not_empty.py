"""The same texts but the empty one."""

from __future__ import annotations

from ipc.grammar.expressions import (
    NOTHING,
    either,
    nullable,
    nullable_rules,
    sequence,
    times,
    without_dead_ends,
)
from ipc.grammar.rules import (
    ROOT,
    Alternation,
    Characters,
    Concatenation,
    Expression,
    Reference,
    Repetition,
    Rules,
    Terminal,
)

# Before the names of rules whose empty text is left out; none of the others begins with it.
_SOME = "some-"


def without_the_empty_text(rules: Rules) -> Rules | None:
    """``rules`` without the empty text, None if they admit no other."""
    bodies = dict(rules.rules)
    empties = nullable_rules(bodies)
    if ROOT not in empties:
        return rules
    some = {_SOME + name: _some(bodies[name], empties) for name in empties}
    return without_dead_ends(
        Rules(((ROOT, Reference(_SOME + ROOT)), *some.items(), *_rest(bodies)))
    )


def some_of(expression: Expression) -> Expression:
    """Texts of ``expression``, which names no rules, but the empty one."""
    return _some(expression, set())


def _rest(bodies: dict[str, Expression]) -> list[tuple[str, Expression]]:
    """What is named as it was; `ROOT` itself, which has another body now, by a new name."""
    renamed = {name: _moved(body) for name, body in bodies.items()}
    return [(_ALL if name == ROOT else name, body) for name, body in renamed.items()]


_ALL = "all-root"


def _moved(expression: Expression) -> Expression:
    match expression:
        case Concatenation(parts):
            return Concatenation(tuple(map(_moved, parts)))
        case Alternation(options):
            return Alternation(tuple(map(_moved, options)))
        case Repetition(part, least, most):
            return Repetition(_moved(part), least, most)
        case Reference(name):
            return Reference(_ALL if name == ROOT else name)
        case _:
            return expression


def _some(expression: Expression, empties: set[str]) -> Expression:
    """Texts of ``expression`` but the empty one."""
    if not nullable(expression, empties):
        return _moved(expression)
    match expression:
        case Concatenation(parts):
            ways = (
                sequence(_some(part, empties), *map(_moved, parts[at + 1 :]))
                for at, part in enumerate(parts)
            )
            return either(ways)
        case Alternation(options):
            return either(_some(option, empties) for option in options)
        case Repetition(part, _, most):
            some = _some(part, empties)
            return times(some, 1, most)
        case Reference(name):
            return Reference(_SOME + name)
        case Terminal() | Characters():
            return NOTHING
