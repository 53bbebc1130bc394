"""Repetitions as xgrammar counts them cheaply.

When xgrammar compiles a grammar it works out the tokens that fit each state of each rule, and all
answers wait. Measured on SmolLM2's 49k tokens and one busy core: a class of most characters that is
repeated up to 16 times is 0.65 s, up to 64 times 2 s, as each repetition is a state. If the class
is a rule of its own there is one state, and up to 64 times is 0.1 s; what may follow is then worked
out for each token that is written, which takes up to 0.1 s on that core. From 129 times on it takes
another way that does not end in minutes, so that larger counts are made of blocks.

What is counted the same way in two places is one rule. An object of 256 optional texts of up to 100
characters takes 0.16 s; it took 12.6 s when each of them was counted where it stands.
"""

from __future__ import annotations

from ipc.grammar.characters import points_of
from ipc.grammar.expressions import EMPTY, either, sequence, times
from ipc.grammar.rules import (
    Alternation,
    Characters,
    Concatenation,
    Expression,
    Reference,
    Repetition,
    Rules,
    Terminal,
)

# So many characters, repeated so often, are worth no rule.
_FEW_CHARACTERS, _FEW_TIMES = 16, 24
_BLOCK = 64


def counted_by_rules(rules: Rules) -> Rules:
    """``rules`` in which what is counted is a rule, and no count is beyond `_BLOCK` times itself.
    New ones have names that begin with ``times-``, which no other has."""
    counter = _Counter()
    named = [(name, counter.rewritten(body)) for name, body in rules.rules]
    return Rules((*named, *counter.rules))


class _Counter:
    def __init__(self) -> None:
        self.rules: list[tuple[str, Expression]] = []
        # By how a body is shown: expressions of two kinds with the same fields are equal.
        self._made: dict[str, Reference] = {}

    def rewritten(self, expression: Expression) -> Expression:
        match expression:
            case Concatenation(parts):
                return Concatenation(tuple(map(self.rewritten, parts)))
            case Alternation(options):
                return Alternation(tuple(map(self.rewritten, options)))
            case Repetition(part, least, most):
                return self._repeated(self.rewritten(part), least, most)
            case _:
                return expression

    def _repeated(self, part: Expression, least: int, most: int | None) -> Expression:
        highest = least if most is None else most
        if highest <= 1 or (_is_narrow(part) and highest <= _FEW_TIMES):
            return Repetition(part, least, most)
        one = part if isinstance(part, Reference) else self._rule(part)
        if highest <= _BLOCK:
            return self._rule(Repetition(one, least, most))
        block = self._rule(Repetition(one, _BLOCK, _BLOCK))
        if most is None:  # the rest is of the part itself, whose states are worked out beforehand
            return sequence(self._rule(_exactly(one, block, least)), Repetition(part))
        rest = _from_none(one, block, most - least)
        return self._rule(sequence(_exactly(one, block, least), rest))

    def _rule(self, body: Expression) -> Reference:
        """The rule of this ``body``, one for all places where it stands."""
        made = self._made.get(shown := repr(body))
        if made is None:
            made = self._made[shown] = Reference(f"times-{len(self.rules)}")
            self.rules.append((made.name, body))
        return made


def _is_narrow(part: Expression) -> bool:
    if not isinstance(part, Characters):
        return isinstance(part, Terminal)
    return sum(last - first + 1 for first, last in points_of(part)) <= _FEW_CHARACTERS


def _exactly(one: Expression, block: Expression, count: int) -> Expression:
    blocks, left = divmod(count, _BLOCK)
    return sequence(
        times(block, blocks, blocks) if blocks else EMPTY, times(one, left, left) if left else EMPTY
    )


def _from_none(one: Expression, block: Expression, most: int) -> Expression:
    """``one`` up to ``most`` times: whole blocks and less than one more, or all and the rest."""
    blocks, left = divmod(most, _BLOCK)
    if not blocks:
        return times(one, 0, left)
    whole = sequence(times(block, blocks, blocks), times(one, 0, left))
    return either([sequence(times(block, 0, blocks - 1), times(one, 0, _BLOCK - 1)), whole])
