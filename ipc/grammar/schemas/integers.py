"""Integers between two bounds, as they are written in decimal."""

from __future__ import annotations

from ipc.grammar.expressions import DIGIT, either, sequence, times
from ipc.grammar.rules import Characters, Expression, Terminal
from ipc.grammar.schemas.json_text import MAX_DIGITS

LARGEST = 10**MAX_DIGITS - 1


def integers(least: int | None, most: int | None) -> Expression:
    """Integers of at most `MAX_DIGITS` digits from ``least`` to ``most``, both included, None for
    no bound. Of no such, `NOTHING`."""
    low = -LARGEST if least is None else max(least, -LARGEST)
    high = LARGEST if most is None else min(most, LARGEST)
    below = _naturals(max(1, -high), -low) if low < 0 else []
    above = _naturals(max(0, low), high) if high >= 0 else []
    negative = [sequence(Terminal("-"), either(below))] if below else []
    return either([*negative, *above])


def _naturals(low: int, high: int) -> list[Expression]:
    """From ``low`` to ``high``, an expression for each number of digits."""
    if low > high:
        return []
    found = []
    for digits in range(len(str(low)), len(str(high)) + 1):
        smallest = 0 if digits == 1 else 10 ** (digits - 1)
        first, last = max(low, smallest), min(high, 10**digits - 1)
        found.append(_between(str(first), str(last)))
    return found


def _between(low: str, high: str) -> Expression:
    """Texts of digits from ``low`` to ``high``, which are as long as each other."""
    if not low:
        return Terminal("")
    if low == high:
        return Terminal(low)
    rest = len(low) - 1
    if low[0] == high[0]:
        return sequence(Terminal(low[0]), _between(low[1:], high[1:]))
    first, last = int(low[0]), int(high[0])
    options: list[Expression] = []
    if low[1:] != "0" * rest:
        options.append(sequence(Terminal(low[0]), _between(low[1:], "9" * rest)))
        first += 1
    after: list[Expression] = []
    if high[1:] != "9" * rest:
        after.append(sequence(Terminal(high[0]), _between("0" * rest, high[1:])))
        last -= 1
    if first <= last:
        span = Characters(((ord(str(first)), ord(str(last))),))
        options.append(sequence(span, *([times(DIGIT, rest, rest)] if rest else [])))
    return either([*options, *after])
