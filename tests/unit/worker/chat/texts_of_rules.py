"""Texts that rules admit, drawn at random."""

from __future__ import annotations

import random
from typing import assert_never

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

# Beyond so many rules inside of each other the shortest way out is taken.
_DEEP = 40
# Characters for which many are admitted, so that texts are short to read.
_LIKED = 'aZé7 "\\<{}\n'


class Texts:
    """Draws by ``seed`` from ``rules``."""

    def __init__(self, rules: Rules, seed: int) -> None:
        self._bodies = dict(rules.rules)
        self._random = random.Random(seed)
        self._heights: dict[str, int] = {}
        self._find_heights()

    def draw(self) -> str:
        return self._draw(Reference(ROOT), 0)

    def _draw(self, expression: Expression, depth: int) -> str:
        match expression:
            case Terminal(text):
                return text
            case Characters():
                return self._character(expression)
            case Concatenation(parts):
                return "".join(self._draw(part, depth + 1) for part in parts)
            case Alternation(options):
                return self._draw(self._option(options, depth), depth + 1)
            case Repetition(part, least, most):
                extra = 0 if depth > _DEEP else self._random.randint(0, 3)
                times = least + extra if most is None else min(most, least + extra)
                return "".join(self._draw(part, depth + 1) for _ in range(times))
            case Reference(name):
                return self._draw(self._bodies[name], depth + 1)
            case _:
                assert_never(expression)

    def _option(self, options: tuple[Expression, ...], depth: int) -> Expression:
        if depth > _DEEP:
            return min(options, key=self._height)
        return self._random.choice(options)

    def _character(self, characters: Characters) -> str:
        ranges = points_of(characters)
        liked = [one for one in _LIKED if any(a <= ord(one) <= b for a, b in ranges)]
        if liked:
            return self._random.choice(liked)
        first, last = self._random.choice(ranges)
        return chr(self._random.randint(first, last))

    def _find_heights(self) -> None:
        changed = True
        while changed:
            changed = False
            for name, body in self._bodies.items():
                height = self._height(body)
                if height < self._heights.get(name, 1 << 30):
                    self._heights[name] = height
                    changed = True

    def _height(self, expression: Expression) -> int:
        """How many rules inside of each other its shortest text takes."""
        match expression:
            case Concatenation(parts):
                return max(map(self._height, parts), default=0)
            case Alternation(options):
                return min(map(self._height, options))
            case Repetition(part, least):
                return self._height(part) if least else 0
            case Reference(name):
                return 1 + self._heights.get(name, 1 << 29)
            case _:
                return 0
