"""JSON as it is written in answers (RFC 8259), as expressions.

Whitespace is bounded, so that no model writes it without end: after a colon one space or none;
after brackets and commas one space, or a line break and an indentation, or none. A number has at
most 19 digits before its point, as 64 bits have, 16 after it, and two in its exponent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ipc.grammar.characters import complement, intersection, points_of
from ipc.grammar.expressions import DIGIT, either, is_empty, optional, sequence, times
from ipc.grammar.rules import (
    Alternation,
    Characters,
    Concatenation,
    Expression,
    Reference,
    Repetition,
    Terminal,
)

MAX_INDENTATION = 32
MAX_DIGITS = 19
MAX_DECIMALS = 16
MAX_EXPONENT_DIGITS = 2

_HEX = ((ord("0"), ord("9")), (ord("A"), ord("F")), (ord("a"), ord("f")))
# What a JSON string holds only escaped.
ESCAPED = ((0, 0x1F), (ord('"'), ord('"')), (ord("\\"), ord("\\")))
QUOTE = Terminal('"')
PLAIN = Characters(ESCAPED, negated=True)


def _one_of(characters: str) -> Characters:
    return Characters(tuple((ord(one), ord(one)) for one in characters))


# No half of a surrogate pair: a lone one is no text.
_UNICODE = either(
    [
        sequence(
            Characters(((48, 57), (65, 67), (69, 70), (97, 99), (101, 102))),
            *[Characters(_HEX)] * 3,
        ),
        sequence(_one_of("Dd"), Characters(((48, 55),)), *[Characters(_HEX)] * 2),
    ]
)
ESCAPE = sequence(Terminal("\\"), either([_one_of('"\\/bfnrt'), sequence(Terminal("u"), _UNICODE)]))
CHARACTER = either([PLAIN, ESCAPE])
# Not ``CHARACTER*``: for each token xgrammar would look a rule up at every character.
CHARACTERS = sequence(Repetition(PLAIN), Repetition(sequence(ESCAPE, Repetition(PLAIN))))
STRING = sequence(QUOTE, CHARACTERS, QUOTE)

_DIGITS_MORE = times(DIGIT, 0, MAX_DIGITS - 1)
_UNSIGNED = either([Terminal("0"), sequence(Characters(((49, 57),)), _DIGITS_MORE)])
INTEGER = sequence(optional(Terminal("-")), _UNSIGNED)
NUMBER = sequence(
    INTEGER,
    optional(sequence(Terminal("."), times(DIGIT, 1, MAX_DECIMALS))),
    optional(
        sequence(_one_of("eE"), optional(_one_of("+-")), times(DIGIT, 1, MAX_EXPONENT_DIGITS))
    ),
)

SPACE = optional(Terminal(" "))
BREAK = optional(
    either(
        [
            Terminal(" "),
            sequence(Terminal("\n"), times(_one_of(" \t"), 0, MAX_INDENTATION)),
        ]
    )
)


def text_of(value: object) -> str:
    """``value`` as JSON text, which it is written as where there is no choice."""
    return json.dumps(value, ensure_ascii=False)


def exactly(value: object) -> Expression:
    """Just ``value``, with the whitespace of any other and the fewest escapes."""
    if isinstance(value, dict):
        members = (
            sequence(Terminal(f"{text_of(key)}:"), SPACE, exactly(one))
            for key, one in value.items()
        )
        return enclosed("{", listed(members), "}")
    if isinstance(value, list):
        return enclosed("[", listed(map(exactly, value)), "]")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return Terminal(str(int(value)))
    return Terminal(text_of(value))


BREAK_NAME = "ws"
_BREAK = Reference(BREAK_NAME)
COMMA = sequence(Terminal(","), _BREAK)


def listed(parts: Iterable[Expression]) -> Expression:
    """``parts`` with commas between."""
    found: list[Expression] = []
    for part in parts:
        found += [COMMA, part] if found else [part]
    return sequence(*found)


def enclosed(opening: str, content: Expression, closing: str) -> Expression:
    """``content`` in brackets; needs the rule `BREAK_NAME`, which is `BREAK`."""
    if is_empty(content):
        return Terminal(opening + closing)
    return sequence(Terminal(opening), _BREAK, content, _BREAK, Terminal(closing))


def encoded(text: Expression) -> Expression:
    """Texts of ``text`` as they stand between the quotes of a JSON string, with the fewest
    escapes."""
    match text:
        case Terminal(said):
            return Terminal(text_of(said)[1:-1])
        case Characters():
            return _encoded_characters(text)
        case Concatenation(parts):
            return Concatenation(tuple(encoded(part) for part in parts))
        case Alternation(options):
            return Alternation(tuple(encoded(option) for option in options))
        case Repetition(part, least, most):
            return Repetition(encoded(part), least, most)
        case Reference(name):
            raise ValueError(f"{name} is a rule; only what has none is encoded")


def _encoded_characters(characters: Characters) -> Expression:
    admitted = points_of(characters)
    if not intersection(admitted, ESCAPED):
        return characters
    plain = intersection(admitted, complement(ESCAPED))
    escapes = [
        Terminal(text_of(chr(code))[1:-1])
        for first, last in intersection(admitted, ESCAPED)
        for code in range(first, last + 1)
    ]
    if not intersection(ESCAPED, complement(admitted)):  # all of them, as in most classes
        return either([Characters(plain), ESCAPE_OF_ONE])
    return either([*([Characters(plain)] if plain else []), *escapes])


# Every character that must be escaped, and how `json` escapes it.
ESCAPE_OF_ONE = sequence(
    Terminal("\\"),
    either(
        [
            _one_of('"\\bfnrt'),
            sequence(Terminal("u00"), _one_of("01"), Characters(((48, 57), (97, 102)))),
        ]
    ),
)
