"""Short names for expressions, and what is worked out about them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ipc.grammar.characters import points_of
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

EMPTY = Terminal("")
# What no text is.
NOTHING = Alternation(())
DIGIT = Characters(((ord("0"), ord("9")),))


def sequence(*parts: Expression) -> Expression:
    """One after the other."""
    kept = tuple(part for part in parts if not is_empty(part))
    return kept[0] if len(kept) == 1 else Concatenation(kept) if kept else EMPTY


def either(options: Iterable[Expression]) -> Expression:
    """One of ``options``; of none, `NOTHING`."""
    kept = tuple(option for option in options if not is_nothing(option))
    return kept[0] if len(kept) == 1 else Alternation(kept)


def optional(part: Expression) -> Expression:
    return EMPTY if is_empty(part) or is_nothing(part) else Repetition(part, 0, 1)


def times(part: Expression, least: int, most: int | None) -> Expression:
    """``part`` so many times."""
    if most == 0:
        return EMPTY
    return part if (least, most) == (1, 1) else Repetition(part, least, most)


def is_empty(expression: Expression) -> bool:
    return isinstance(expression, Terminal) and not expression.text


def is_nothing(expression: Expression) -> bool:
    return isinstance(expression, Alternation) and not expression.options


def references(expression: Expression) -> set[str]:
    """The rules that ``expression`` names."""
    match expression:
        case Concatenation(parts) | Alternation(parts):
            return set().union(*map(references, parts))
        case Repetition(part):
            return references(part)
        case Reference(name):
            return {name}
        case _:
            return set()


def size(expression: Expression) -> int:
    """How many parts it is made of."""
    match expression:
        case Concatenation(parts) | Alternation(parts):
            return 1 + sum(map(size, parts))
        case Repetition(part):
            return 1 + size(part)
        case _:
            return 1


def without_dead_ends(rules: Rules) -> Rules | None:
    """The same texts, by rules and options that lead to a text only, and that `ROOT` needs. None
    where there is no text at all."""
    alive: dict[str, Expression] = {}
    todo = dict(rules.rules)
    while found := {name: body for name, body in todo.items() if _lives(body, alive)}:
        alive |= found
        todo = {name: body for name, body in todo.items() if name not in found}
    if ROOT not in alive:
        return None
    kept = {name: _trimmed(body, alive) for name, body in alive.items()}
    needed, new = {ROOT}, {ROOT}
    while new:
        new = set().union(*(references(kept[name]) for name in new)) - needed
        needed |= new
    return Rules(tuple((name, body) for name, body in kept.items() if name in needed))


def _lives(expression: Expression, alive: Mapping[str, Expression]) -> bool:
    match expression:
        case Concatenation(parts):
            return all(_lives(part, alive) for part in parts)
        case Alternation(options):
            return any(_lives(option, alive) for option in options)
        case Repetition(part, least):
            return least == 0 or _lives(part, alive)
        case Reference(name):
            return name in alive
        case Characters():
            return bool(points_of(expression))
        case Terminal():
            return True


def _trimmed(expression: Expression, alive: Mapping[str, Expression]) -> Expression:
    match expression:
        case Concatenation(parts):
            return sequence(*(_trimmed(part, alive) for part in parts))
        case Alternation(options):
            return either(_trimmed(option, alive) for option in options if _lives(option, alive))
        case Repetition(part, least, most):
            return times(_trimmed(part, alive), least, most) if _lives(part, alive) else EMPTY
        case _:
            return expression


def left_recursive(rules: Rules) -> str | None:
    """A rule that may begin with itself, if there is one: engines that read from left to right
    take no such."""
    bodies = dict(rules.rules)
    empties = nullable_rules(bodies)
    begins = {name: _first(body, empties) for name, body in bodies.items()}
    while free := {name for name, firsts in begins.items() if not firsts & begins.keys()}:
        begins = {name: firsts for name, firsts in begins.items() if name not in free}
    return min(begins, default=None)


def nullable_rules(bodies: Mapping[str, Expression]) -> set[str]:
    """The names of those of ``bodies`` that admit the empty text."""
    empties: set[str] = set()
    while more := {n for n, body in bodies.items() if n not in empties and nullable(body, empties)}:
        empties |= more
    return empties


def nullable(expression: Expression, empties: Collection[str]) -> bool:
    """Whether it admits the empty text, as the rules ``empties`` do."""
    match expression:
        case Terminal(text):
            return not text
        case Concatenation(parts):
            return all(nullable(part, empties) for part in parts)
        case Alternation(options):
            return any(nullable(option, empties) for option in options)
        case Repetition(part, least):
            return least == 0 or nullable(part, empties)
        case Reference(name):
            return name in empties
        case Characters():
            return False


def _first(expression: Expression, empties: Collection[str]) -> set[str]:
    """The rules that a text of ``expression`` may begin with."""
    match expression:
        case Concatenation(parts):
            found: set[str] = set()
            for part in parts:
                found |= _first(part, empties)
                if not nullable(part, empties):
                    break
            return found
        case Alternation(options):
            return set().union(*(_first(option, empties) for option in options))
        case Repetition(part):
            return _first(part, empties)
        case Reference(name):
            return {name}
        case _:
            return set()


def renamed(expression: Expression, prefix: str) -> Expression:
    """``expression`` with ``prefix`` before each name in it."""
    match expression:
        case Concatenation(parts):
            return Concatenation(tuple(renamed(part, prefix) for part in parts))
        case Alternation(options):
            return Alternation(tuple(renamed(option, prefix) for option in options))
        case Repetition(part, least, most):
            return Repetition(renamed(part, prefix), least, most)
        case Reference(name):
            return Reference(prefix + name)
        case _:
            return expression
