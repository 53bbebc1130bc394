"""The four bounds of numbers as JSON Schema has them."""

from __future__ import annotations

from collections.abc import Mapping

from ipc.grammar.rules import Expression
from ipc.grammar.schemas.decimals import numbers
from ipc.grammar.schemas.integers import integers

_LOWS, _HIGHS = ("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")


def integers_of(bounds: Mapping[str, float | int]) -> Expression:
    """Integers within ``bounds``, by keyword."""
    least = [_ceil(bounds[word], word[0] == "e") for word in _LOWS if word in bounds]
    most = [_floor(bounds[word], word[0] == "e") for word in _HIGHS if word in bounds]
    return integers(max(least, default=None), min(most, default=None))


def _ceil(bound: float | int, exclusive: bool) -> int:
    whole = int(-(-bound // 1))
    return whole + 1 if exclusive and whole == bound else whole


def _floor(bound: float | int, exclusive: bool) -> int:
    whole = int(bound // 1)
    return whole - 1 if exclusive and whole == bound else whole


def numbers_of(bounds: Mapping[str, float | int]) -> Expression:
    """Numbers within ``bounds``, by keyword. Raises `ValueError` for one of too many digits."""
    lows = [(bounds[word], word[0] == "e") for word in _LOWS if word in bounds]
    highs = [(bounds[word], word[0] == "e") for word in _HIGHS if word in bounds]
    least, above = max(lows, default=(None, False))
    most, below = min(highs, key=lambda high: (high[0], not high[1]), default=(None, False))
    return numbers(least, most, above=above, below=below)
