"""The parts of a grammar that may be lexemes of llguidance, which takes each as long as it can be.

So a lexeme must end where the rules say. All of them are looked at together: if after a text of one
a character may follow that also lets the text go on, as this or as another lexeme, their lengths do
not tell them apart, and there are none (`folded` is None). That asks for more than is needed, since
not all lexemes may stand at one place. In JSON it holds: no value goes on with what follows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from ipc.grammar.characters import Ranges, points_of
from ipc.grammar.expressions import (
    EMPTY,
    either,
    is_empty,
    nullable,
    optional,
    references,
    sequence,
    size,
    times,
)
from ipc.grammar.not_empty import some_of
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

# What is larger stays in characters: the parts of a lexeme, and the characters of all lexemes, each
# as often as it is counted.
_MAX_SIZE = 4_000
_MAX_PLACES = 6_000
_MAX_STATES = 6_000

PREFIX = "lexeme-"


def folded(rules: Rules) -> Rules | None:
    """``rules`` with all characters in rules whose names begin with `PREFIX`, and which name no
    others. None where they cannot be told apart by length."""
    folder = _Folder(dict(rules.rules))
    try:
        bodies = {name: folder.fold(body) for name, body in rules.rules if name in folder.recursive}
        lexemes = {name: _places(body) for name, body in folder.lexemes.values()}
        if _are_told_apart(lexemes, _following(bodies, lexemes)):
            return Rules((*bodies.items(), *folder.lexemes.values()))
    except _TooLarge:
        pass
    return None


class _TooLarge(Exception):
    pass


# --- which parts ---


class _Folder:
    def __init__(self, bodies: dict[str, Expression]) -> None:
        self._bodies = bodies
        self._plain: dict[str, Expression] = {}
        uses = {name: references(body) for name, body in bodies.items()}
        regular: set[str] = set()
        while more := {n for n, used in uses.items() if n not in regular and used <= regular}:
            regular |= more
        self.recursive = {*bodies} - regular | {ROOT}
        # By their text in full: tuples of two kinds may be equal.
        self.lexemes: dict[str, tuple[str, Expression]] = {}

    def fold(self, expression: Expression) -> Expression:
        """``expression`` with names of lexemes in place of its longest parts without recursion."""
        if isinstance(expression, Concatenation):
            return sequence(*self._runs(expression.parts))
        if not references(expression) & self.recursive:
            return self._lexeme(self._inlined(expression))
        match expression:
            case Alternation(options):
                return either(self._gathered(options))
            case Repetition(part, least, most):
                return times(self.fold(part), least, most)
            case _:
                return expression

    def _runs(self, parts: Iterable[Expression]) -> list[Expression]:
        """A rule is a lexeme of its own: others use it in other company, and must agree on it."""
        found: list[Expression] = []
        run: list[Expression] = []
        for part in _flat(parts):
            if references(part):
                found += [self._lexeme(sequence(*run)), self.fold(part)]
                run = []
            else:
                run.append(part)
        return [*found, self._lexeme(sequence(*run))]

    def _gathered(self, options: Iterable[Expression]) -> list[Expression]:
        regular = [option for option in options if not references(option) & self.recursive]
        others = [option for option in options if references(option) & self.recursive]
        together = [self.fold(either(regular))] if regular else []
        return [*together, *map(self.fold, others)]

    def _lexeme(self, expression: Expression) -> Expression:
        """A lexeme is never empty."""
        if is_empty(expression):
            return EMPTY
        if size(expression) > _MAX_SIZE:
            raise _TooLarge
        if nullable(expression, ()):
            return optional(self._lexeme(some_of(expression)))
        new = (f"{PREFIX}{len(self.lexemes)}", expression)
        return Reference(self.lexemes.setdefault(repr(expression), new)[0])

    def _inlined(self, expression: Expression) -> Expression:
        match expression:
            case Concatenation(parts):
                return sequence(*map(self._inlined, parts))
            case Alternation(options):
                return either(map(self._inlined, options))
            case Repetition(part, least, most):
                return times(self._inlined(part), least, most)
            case Reference(name):
                if name not in self._plain:
                    self._plain[name] = self._inlined(self._bodies[name])
                    if size(self._plain[name]) > _MAX_SIZE:
                        raise _TooLarge
                return self._plain[name]
            case _:
                return expression


def _flat(parts: Iterable[Expression]) -> list[Expression]:
    return [
        one
        for part in parts
        for one in (_flat(part.parts) if isinstance(part, Concatenation) else [part])
    ]


# --- what may follow what ---


class _Ends(NamedTuple):
    """The lexemes that a text may begin and end with, and whether it may be empty."""

    first: frozenset[str]
    last: frozenset[str]
    empty: bool


_NO_ENDS = _Ends(frozenset(), frozenset(), True)


def _following(bodies: dict[str, Expression], lexemes: dict[str, _Places]) -> dict[str, set[str]]:
    """For each lexeme those that may come right after it."""
    known = dict.fromkeys(bodies, _Ends(frozenset(), frozenset(), False))
    after: dict[str, set[str]] = {name: set() for name in lexemes}
    while True:
        found = {name: _ends(body, known, after) for name, body in bodies.items()}
        if found == known:
            return after
        known = found


def _ends(expression: Expression, known: dict[str, _Ends], after: dict[str, set[str]]) -> _Ends:
    match expression:
        case Reference(name):
            return known.get(name) or _Ends(frozenset({name}), frozenset({name}), False)
        case Concatenation(parts):
            whole = _NO_ENDS
            for part in parts:
                whole = _joined(whole, _ends(part, known, after), after)
            return whole
        case Alternation(options):
            found = [_ends(option, known, after) for option in options]
            return _Ends(
                frozenset().union(*(one.first for one in found)),
                frozenset().union(*(one.last for one in found)),
                any(one.empty for one in found),
            )
        case Repetition(part, least, most):
            one = _ends(part, known, after)
            if most is None or most > 1:
                _joined(one, one, after)
            return one._replace(empty=one.empty or least == 0)
        case _:  # the empty text
            return _NO_ENDS


def _joined(one: _Ends, other: _Ends, after: dict[str, set[str]]) -> _Ends:
    for name in one.last:
        after[name] |= other.first
    return _Ends(
        one.first | other.first if one.empty else one.first,
        other.last | one.last if other.empty else other.last,
        one.empty and other.empty,
    )


# --- lexemes as automata of Glushkov: a place for each character ---


class _Places(NamedTuple):
    """``sets`` has what each place admits; ``after`` the places that may follow it."""

    sets: list[Ranges]
    first: set[int]
    last: set[int]
    after: list[set[int]]


def _places(expression: Expression) -> _Places:
    found = _Places([], set(), set(), [])
    first, last, _ = _build(expression, found)
    found.first.update(first)
    found.last.update(last)
    return found


def _build(expression: Expression, places: _Places) -> tuple[set[int], set[int], bool]:
    """The first and the last places of ``expression``, and whether it may be empty."""
    match expression:
        case Terminal(text):
            ones = [Characters(((ord(one), ord(one)),)) for one in text]
            return _chain([_place(one, places) for one in ones], places)
        case Characters():
            return _place(expression, places)
        case Concatenation(parts):
            return _chain([_build(part, places) for part in parts], places)
        case Alternation(options):
            found = [_build(option, places) for option in options]
            return (
                set().union(*(one[0] for one in found)),
                set().union(*(one[1] for one in found)),
                any(one[2] for one in found),
            )
        case Repetition(part, least, most):
            return _repeated(part, least, most, places)
        case Reference(name):
            raise ValueError(f"{name} is a rule")


def _repeated(
    part: Expression, least: int, most: int | None, places: _Places
) -> tuple[set[int], set[int], bool]:
    if most is None:
        before = [_build(part, places) for _ in range(max(1, least))]
        first, last, empty = before[-1]
        for at in last:
            places.after[at] |= first
        return _chain([*before[:-1], (first, last, empty or least == 0)], places)
    copies = [_build(part, places) for _ in range(most)]
    return _chain(
        [(first, last, empty or at >= least) for at, (first, last, empty) in enumerate(copies)],
        places,
    )


def _place(characters: Characters, places: _Places) -> tuple[set[int], set[int], bool]:
    at = len(places.sets)
    if at > _MAX_PLACES:
        raise _TooLarge
    places.sets.append(points_of(characters))
    places.after.append(set())
    return {at}, {at}, False


def _chain(
    parts: list[tuple[set[int], set[int], bool]], places: _Places
) -> tuple[set[int], set[int], bool]:
    """One part after the other."""
    first: set[int] = set()
    last: set[int] = set()
    empty = True
    for begins, ends, may_be_empty in parts:
        for at in last:
            places.after[at] |= begins
        first |= begins if empty else set()
        last = last | ends if may_be_empty else set(ends)
        empty = empty and may_be_empty
    return first, last, empty


# --- whether their ends are told ---

# A place of a lexeme.
_At = tuple[str, int]


def _are_told_apart(lexemes: dict[str, _Places], following: dict[str, set[str]]) -> bool:
    """Every text is read as all lexemes at once. Where one of them has ended, no character that may
    follow it lets the text go on."""
    if sum(len(one.sets) for one in lexemes.values()) > _MAX_PLACES:
        raise _TooLarge
    signs = _signs(lexemes)
    follow = {name: _first_signs(lexemes, after, signs) for name, after in following.items()}
    start = frozenset((name, at) for name, one in lexemes.items() for at in one.first)
    seen: set[frozenset[_At]] = {frozenset()}
    todo = [(frozenset[str](), start)]
    while todo:
        ended, going = todo.pop()
        moves: dict[int, set[_At]] = {}
        for name, at in going:
            for sign in signs[lexemes[name].sets[at]]:
                moves.setdefault(sign, set()).add((name, at))
        if any(follow[name] & moves.keys() for name in ended):
            return False
        for reached in {frozenset(places) for places in moves.values()} - seen:
            seen.add(reached)
            if len(seen) > _MAX_STATES:
                raise _TooLarge
            todo.append(_next(lexemes, reached))
    return True


def _next(
    lexemes: dict[str, _Places], reached: frozenset[_At]
) -> tuple[frozenset[str], frozenset[_At]]:
    """The lexemes that end at ``reached``, and the places after it."""
    ended = frozenset(name for name, at in reached if at in lexemes[name].last)
    return ended, frozenset(
        (name, after) for name, at in reached for after in lexemes[name].after[at]
    )


def _signs(lexemes: dict[str, _Places]) -> dict[Ranges, frozenset[int]]:
    """For each set of characters the signs that stand for them: characters that all sets have or
    have not together have one sign."""
    sets = {one for places in lexemes.values() for one in places.sets}
    edges = sorted({edge for one in sets for first, last in one for edge in (first, last + 1)})
    return {
        one: frozenset(edge for edge, _ in pairwise(edges) if any(a <= edge <= b for a, b in one))
        for one in sets
    }


def _first_signs(
    lexemes: dict[str, _Places], names: set[str], signs: dict[Ranges, frozenset[int]]
) -> frozenset[int]:
    firsts = (signs[lexemes[name].sets[at]] for name in names for at in lexemes[name].first)
    return frozenset().union(*firsts)
