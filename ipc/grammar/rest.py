"""What may follow the beginning of a text that a grammar admits.

By Brzozowski's derivatives (Journal of the ACM 11, 1964), one character after the other, of rules
as Might et al. have them (Parsing with derivatives, ICFP 2011). What is read from left to right has
little that is open at a time, so the derivative of a long text is as large as that of a short one.
"""

from __future__ import annotations

from functools import cache

from ipc.grammar.characters import points_of
from ipc.grammar.expressions import (
    EMPTY,
    NOTHING,
    either,
    is_nothing,
    nullable,
    nullable_rules,
    renamed,
    sequence,
    size,
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

# Of a text that a grammar can read in many ways at once the rest has as many parts: no more than
# these, or those of the grammar.
MOST_PARTS = 4_000
# So many parts are looked at in all, which takes a few seconds: meanwhile other answers wait.
MOST_WORK = 4_000_000
_OF_WHOLE = "of-"


class NoRestError(Exception):
    """No text goes on so, or in too many ways."""


def rest(rules: Rules, text: str) -> Rules:
    """The texts that make one of ``rules``, which are not left-recursive, behind ``text``; the
    empty one among them where that is whole. Raises `NoRestError`."""
    if not text:
        return rules
    try:
        left = _read(rules, text)
    except RecursionError:
        raise NoRestError("its rules stand within each other too deeply") from None
    whole = ((_OF_WHOLE + name, renamed(body, _OF_WHOLE)) for name, body in rules.rules)
    found = without_dead_ends(Rules(((ROOT, renamed(left, _OF_WHOLE)), *whole)))
    if found is None:
        raise NoRestError("the grammar does not admit what has been written")
    return found


def _read(rules: Rules, text: str) -> Expression:
    """What may follow ``text``, by ``rules``."""
    most = max(MOST_PARTS, sum(size(body) for _, body in rules.rules))
    reader = _Reader(rules, most)
    left: Expression = Reference(ROOT)
    for character in text:
        left = reader.behind(left, character)
        reader.count(left)
    return left


class _Reader:
    """Reads texts of ``rules`` character by character. What they leave has at most ``most`` parts,
    else `NoRestError` is raised."""

    def __init__(self, rules: Rules, most: int) -> None:
        self._most, self._work = most, MOST_WORK
        self._bodies = dict(rules.rules)
        self._empties = nullable_rules(self._bodies)
        self._of_rule = cache(self._behind_rule)

    def behind(self, expression: Expression, character: str) -> Expression:
        """What may follow ``character`` in texts of ``expression``."""
        match expression:
            case Terminal(text):
                return Terminal(text[1:]) if text.startswith(character) else NOTHING
            case Characters():
                code = ord(character)
                admits = any(first <= code <= last for first, last in points_of(expression))
                return EMPTY if admits else NOTHING
            case Concatenation(parts):
                return self._behind_parts(parts, character)
            case Alternation(options):
                return _one_of([self.behind(option, character) for option in options])
            case Repetition(part, least, most):
                return self._behind_one(part, least, most, character)
            case Reference(name):
                return self._of_rule(name, character)

    def count(self, left: Expression) -> None:
        """Have what is ``left`` behind a character counted. Raises `NoRestError`."""
        parts = size(left)
        self._work -= parts
        if parts > self._most or self._work < 0:
            raise NoRestError("what has been written can be read in too many ways")

    def _behind_rule(self, name: str, character: str) -> Expression:
        """Counted at once, since each of a chain of rules may have twice the ways of the next."""
        found = self.behind(self._bodies[name], character)
        self.count(found)
        return found

    def _behind_parts(self, parts: tuple[Expression, ...], character: str) -> Expression:
        """It is read by the first part, or by a later one where those before may be empty."""
        ways: list[Expression] = []
        for at, part in enumerate(parts):
            ways.append(_joined(self.behind(part, character), parts[at + 1 :]))
            if not nullable(part, self._empties):
                break
        return _one_of(ways)

    def _behind_one(
        self, part: Expression, least: int, most: int | None, character: str
    ) -> Expression:
        if most == 0:
            return NOTHING
        more = times(part, max(0, least - 1), None if most is None else most - 1)
        return _joined(self.behind(part, character), (more,))


def _joined(first: Expression, parts: tuple[Expression, ...]) -> Expression:
    if is_nothing(first):
        return NOTHING
    return sequence(*first.parts if isinstance(first, Concatenation) else (first,), *parts)


def _one_of(ways: list[Expression]) -> Expression:
    """Each way once."""
    flat: dict[Expression, None] = {}
    for way in ways:
        flat |= dict.fromkeys(way.options if isinstance(way, Alternation) else (way,))
    return either(flat)
