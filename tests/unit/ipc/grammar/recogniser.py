"""Whether rules admit a text, by trying all ways to read it: slow, and like no engine's own way."""

from __future__ import annotations

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


def admits(rules: Rules, text: str) -> bool:
    return len(text) in _Reading(rules, text).ends(Reference(ROOT), 0)


class _Reading:
    def __init__(self, rules: Rules, text: str) -> None:
        self._bodies = dict(rules.rules)
        self._text = text
        self._known: dict[tuple[int, int], frozenset[int]] = {}

    def ends(self, expression: Expression, at: int) -> frozenset[int]:
        """Where a text of ``expression`` that begins ``at`` may end."""
        key = (id(expression), at)
        if key not in self._known:
            self._known[key] = frozenset(self._ends(expression, at))
        return self._known[key]

    def _ends(self, expression: Expression, at: int) -> set[int]:
        match expression:
            case Terminal(said):
                return {at + len(said)} if self._text.startswith(said, at) else set()
            case Characters():
                codes = [ord(one) for one in self._text[at : at + 1]]
                ranges = points_of(expression)
                found = any(a <= code <= b for code in codes for a, b in ranges)
                return {at + 1} if found else set()
            case Concatenation(parts):
                places = {at}
                for part in parts:
                    places = {end for place in places for end in self.ends(part, place)}
                return places
            case Alternation(options):
                return {end for option in options for end in self.ends(option, at)}
            case Reference(name):
                return {*self.ends(self._bodies[name], at)}
            case Repetition(part, least, most):
                return self._repeated(part, least, most, at)

    def _repeated(self, part: Expression, least: int, most: int | None, at: int) -> set[int]:
        found: set[int] = set()
        places, count, seen = {at}, 0, set[frozenset[int]]()
        while places and (most is None or count <= most):
            if count >= least:
                found |= places
                # Nothing new comes of places that were there before.
                if frozenset(places) in seen:
                    break
                seen.add(frozenset(places))
            places = {end for place in places for end in self.ends(part, place)}
            count += 1
        return found
