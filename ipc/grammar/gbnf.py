"""Rules as EBNF: that of xgrammar, inside OpenVINO GenAI, and that of llama.cpp, GBNF.

Both take ``name ::= expression`` with strings, classes of characters, groups and ``{m,n}``. Where
their escapes differ (xgrammar reads as many hexadecimal digits after ``\\x`` as there are) only
those are written that mean the same in both: ``\\u`` with four digits and ``\\U`` with eight.
"""

from __future__ import annotations

from string import hexdigits

from ipc.grammar.characters import Ranges, points_of, union
from ipc.grammar.counting import counted_by_rules
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

_PLAIN = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _:,.;{}()<>=/+*!?"
)
# As far as an expression is written without brackets: an operand of each is one of the later.
_OPTIONS, _PARTS, _OPERAND = range(3)
_EMPTY = '""'
_LAST_ASCII = 0x7F
_HEX_DIGITS = ((ord("0"), ord("9")), (ord("A"), ord("F")), (ord("a"), ord("f")))


def to_ebnf(rules: Rules) -> str:
    """``rules`` for ``StructuredOutputConfig(grammar=…)`` of OpenVINO GenAI, 2026.4.1."""
    return _written(counted_by_rules(rules))


def to_gbnf(rules: Rules) -> str:
    """``rules`` for ``grammar`` of llama.cpp, b11549."""
    return _written(rules)


def _written(rules: Rules) -> str:
    return "".join(f"{name} ::= {_write(body, _OPTIONS)}\n" for name, body in rules.rules)


def _write(expression: Expression, place: int) -> str:
    match expression:
        case Terminal(text):
            return _grouped(_string(text), place > _PARTS and len(_pieces(text)) > 1)
        case Characters():
            return _class(expression)
        case Concatenation(parts):
            written = " ".join(_write(part, _OPERAND) for part in parts) or _EMPTY
            return _grouped(written, place > _PARTS and bool(parts))
        case Alternation(options):
            if not options:
                raise ValueError("an alternation has no options")
            written = " | ".join(_write(option, _PARTS) for option in options)
            return _grouped(written, place > _OPTIONS)
        case Repetition(part, least, most):
            operand = _write(part, _OPERAND)
            if operand == _EMPTY:  # llama.cpp repeats no such
                return _EMPTY
            if isinstance(part, Repetition):  # two operators would be read as one
                operand = f"({operand})"
            return operand + _times(least, most)
        case Reference(name):
            return name


def _string(text: str) -> str:
    return " ".join(f'"{"".join(map(_escaped, piece))}"' for piece in _pieces(text))


def _pieces(text: str) -> list[str]:
    """``text`` cut where a digit would be read as one of the number before it: xgrammar writes
    characters by their numbers once it has read them, and reads them again."""
    pieces = [""]
    for character in text:
        if pieces[-1] and pieces[-1][-1] not in _PLAIN and character in hexdigits:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _grouped(written: str, needed: bool) -> str:
    return f"({written})" if needed else written


def _times(least: int, most: int | None) -> str:
    if (least, most) in _OPERATORS:
        return _OPERATORS[least, most]
    if least == most:
        return f"{{{least}}}"
    return f"{{{least},{'' if most is None else most}}}"


_OPERATORS: dict[tuple[int, int | None], str] = {(0, None): "*", (1, None): "+", (0, 1): "?"}


def _class(characters: Characters) -> str:
    """Only a class of ASCII is negated: xgrammar negates no others rightly."""
    ranges, admitted = union(characters.ranges), points_of(characters)
    if not admitted:
        raise ValueError("a class of characters admits none")
    sign = "^" if characters.negated and ranges and ranges[-1][1] <= _LAST_ASCII else ""
    return f"[{sign}{''.join(map(_range, _digits_first(ranges if sign else admitted)))}]"


def _digits_first(ranges: Ranges) -> list[tuple[int, int]]:
    """``ranges`` in an order in which no hexadecimal digit comes after a number: see `_pieces`."""
    digits, others = [], []
    for first, last in ranges:
        block = next((one for one in _HEX_DIGITS if one[0] <= first <= one[1]), None)
        if block is None:
            others.append((first, last))
            continue
        digits.append((first, min(last, block[1])))
        if last > block[1]:
            others.append((block[1] + 1, last))
    return [*digits, *others]


def _range(pair: tuple[int, int]) -> str:
    first, last = map(_class_escaped, map(chr, pair))
    return first if pair[0] == pair[1] else f"{first}-{last}"


def _class_escaped(character: str) -> str:
    return character if character.isascii() and character.isalnum() else _code(character)


def _escaped(character: str) -> str:
    return character if character in _PLAIN else _code(character)


def _code(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
