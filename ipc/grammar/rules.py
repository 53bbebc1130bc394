"""A grammar of texts, in the terms of EBNF (ISO/IEC 14977). It is written out for each library."""

from __future__ import annotations

from typing import NamedTuple


class Terminal(NamedTuple):
    """Just this ``text``; the empty one is fine."""

    text: str


class Characters(NamedTuple):
    """One character of the ``ranges`` of code points, both ends included, or one of none."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False


class Concatenation(NamedTuple):
    """One part after the other."""

    parts: tuple[Expression, ...]


class Alternation(NamedTuple):
    """One of the options."""

    options: tuple[Expression, ...]


class Repetition(NamedTuple):
    """``part`` at least ``least`` times and at most ``most``, None for without end."""

    part: Expression
    least: int = 0
    most: int | None = None


class Reference(NamedTuple):
    """What the rule of this ``name`` admits."""

    name: str


Expression = Terminal | Characters | Concatenation | Alternation | Repetition | Reference

ROOT = "root"


class Rules(NamedTuple):
    """Rules by their names, which are lower-case letters, digits and hyphens. A text is admitted
    that `ROOT` admits whole."""

    rules: tuple[tuple[str, Expression], ...]
