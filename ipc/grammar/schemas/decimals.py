"""Numbers between two bounds, as they are written in decimal and without an exponent."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from ipc.grammar.expressions import DIGIT, NOTHING, either, optional, sequence, times
from ipc.grammar.rules import Characters, Expression, Terminal
from ipc.grammar.schemas.integers import LARGEST, integers
from ipc.grammar.schemas.json_text import MAX_DECIMALS

_POINT = Terminal(".")
_ANY = times(DIGIT, 0, MAX_DECIMALS - 1)
_ZEROS = times(Terminal("0"), 0, MAX_DECIMALS - 1)
_NOT_ZERO = sequence(_ZEROS, Characters(((49, 57),)), _ANY)
_ANY_FRACTION = optional(sequence(_POINT, DIGIT, _ANY))


class Bound(NamedTuple):
    """``fraction`` has the digits after the point, without zeros at its end."""

    whole: int
    fraction: str
    excluded: bool


def bound(value: int | float, *, excluded: bool) -> Bound:
    """The absolute ``value``. Raises `ValueError` where it has more digits than are written."""
    whole, _, fraction = f"{abs(Decimal(str(value))):f}".partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > MAX_DECIMALS or int(whole) > LARGEST:
        raise ValueError(f"is {value}, of more digits than are written")
    return Bound(int(whole), fraction, excluded)


def numbers(
    least: int | float | None, most: int | float | None, *, above: bool = False, below: bool = False
) -> Expression:
    """Numbers from ``least`` to ``most``, None for no bound; without ``least`` itself if ``above``,
    without ``most`` if ``below``. Of no such, `NOTHING`. Raises `ValueError`, as `bound` does."""
    zero = Bound(0, "", excluded=False)
    options = []
    if least is None or least < 0:
        low = zero if most is None or most > 0 else bound(most, excluded=below)
        high = None if least is None else bound(least, excluded=above)
        options.append(sequence(Terminal("-"), _naturals(low, high)))
    if most is None or most >= 0:
        low = zero if least is None or least < 0 else bound(least, excluded=above)
        high = None if most is None else bound(most, excluded=below)
        options.append(_naturals(low, high))
    return either(_whole(option) for option in options)


def _whole(option: Expression) -> Expression:
    """A minus with nothing after it is nothing."""
    parts = getattr(option, "parts", ())
    return NOTHING if NOTHING in parts else option


def _naturals(low: Bound, high: Bound | None) -> Expression:
    first, last = low.whole, LARGEST if high is None else high.whole
    if first > last:
        return NOTHING
    if high is not None and first == last:
        return _join(str(first), _between(low, high))
    inner = integers(first + 1, last if high is None else last - 1)
    ends = [_join(str(first), _at_least(low))]
    if inner != NOTHING:
        ends.append(sequence(inner, _ANY_FRACTION))
    if high is not None:
        ends.append(_join(str(last), _at_most(high)))
    return either(ends)


def _join(whole: str, fraction: Expression) -> Expression:
    return NOTHING if fraction == NOTHING else sequence(Terminal(whole), fraction)


# --- fractions, with their point, where there is one ---


def _at_least(low: Bound) -> Expression:
    if low.fraction:
        return sequence(_POINT, _digits_from(low.fraction, low.excluded))
    return sequence(_POINT, _NOT_ZERO) if low.excluded else _ANY_FRACTION


def _at_most(high: Bound) -> Expression:
    if high.fraction:
        return optional(sequence(_POINT, _digits_to(high.fraction, high.excluded)))
    return NOTHING if high.excluded else optional(sequence(_POINT, Terminal("0"), _ZEROS))


def _between(low: Bound, high: Bound) -> Expression:
    if low.fraction == high.fraction:
        if low.excluded or high.excluded:
            return NOTHING
        zeros = sequence(Terminal(low.fraction), _ZEROS)
        return sequence(_POINT, zeros) if low.fraction else _at_most(high)
    if _padded(low.fraction) > _padded(high.fraction):
        return NOTHING
    digits = sequence(_POINT, _digits_between(low, low.fraction, high, high.fraction))
    return digits if low.fraction or low.excluded else optional(digits)


def _padded(fraction: str) -> str:
    return fraction.ljust(MAX_DECIMALS, "0")


# --- digits after a point, one at least ---


def _digits_from(least: str, excluded: bool) -> Expression:
    first = int(least[0])
    return either([_span(first + 1, 9), _join(least[0], _more_from(least[1:], excluded))])


def _more_from(least: str, excluded: bool) -> Expression:
    if least:
        return _digits_from(least, excluded)
    return _NOT_ZERO if excluded else _ANY


def _digits_to(most: str, excluded: bool) -> Expression:
    last = int(most[0])
    return either([_span(0, last - 1), _join(most[0], _more_to(most[1:], excluded))])


def _more_to(most: str, excluded: bool) -> Expression:
    if most:
        return optional(_digits_to(most, excluded))
    return NOTHING if excluded else _ZEROS


def _digits_between(low: Bound, least: str, high: Bound, most: str) -> Expression:
    """Of ``least``, which may be empty, and ``most``, the larger one, the rest of both bounds."""
    first, last = int(least[:1] or 0), int(most[0])
    if first == last:
        rest = _digits_between(low, least[1:], high, most[1:])
        may_end = not least[1:] and not low.excluded
        return sequence(Terminal(most[0]), optional(rest) if may_end else rest)
    return either(
        [
            _span(first + 1, last - 1),
            _join(str(first), _more_from(least[1:], low.excluded)),
            _join(str(last), _more_to(most[1:], high.excluded)),
        ]
    )


def _span(first: int, last: int) -> Expression:
    """One digit from ``first`` to ``last``, and any after it."""
    if first > last:
        return NOTHING
    return sequence(Characters(((48 + first, 48 + last),)), _ANY)
