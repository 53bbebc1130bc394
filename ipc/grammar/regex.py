"""Regular expressions as they are common to ECMA-262 and Rust, without what looks around.

``\\d``, ``\\w`` and ``\\s`` are of ASCII; ``.`` is any character that ends no line. Anchors stand
at the beginning and at the end of an alternative, where lazy quantifiers admit the same as others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ipc.grammar.characters import complement, points_of, union
from ipc.grammar.expressions import DIGIT, EMPTY, either, sequence, times
from ipc.grammar.rules import Characters, Expression, Repetition, Terminal

MAX_CHARS = 4096
MAX_GROUPS = 64  # within each other
MAX_TIMES = 1000

ANY = Characters((), negated=True)
_WORD = Characters(((48, 57), (65, 90), (95, 95), (97, 122)))
_SPACE = Characters(((9, 13), (32, 32)))
_DOT = Characters(((10, 10), (13, 13), (0x2028, 0x2029)), negated=True)
_KINDS = {"d": DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
_OPERATORS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_HEX = {"x": 2, "u": 4}


class RegexError(ValueError):
    """Why a pattern cannot be kept, in words that go on from "the pattern"."""


class _Alternative(NamedTuple):
    body: Expression
    begins: bool  # at ``^``
    ends: bool  # at ``$``


def of_regex(pattern: str, *, searched: bool) -> Expression:
    """Texts that match ``pattern`` whole; with ``searched`` also those that have a match in them,
    where no anchor forbids it. Raises `RegexError`."""
    if len(pattern) > MAX_CHARS:
        raise RegexError(f"has {len(pattern)} characters; at most {MAX_CHARS} are allowed")
    alternatives = _Reader(pattern).read()
    rest = Repetition(ANY)
    return either(
        sequence(
            rest if searched and not one.begins else EMPTY,
            one.body,
            rest if searched and not one.ends else EMPTY,
        )
        for one in alternatives
    )


class _Reader:
    """One pass over a pattern, from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def read(self) -> list[_Alternative]:
        found = self._alternatives()
        if self._at < len(self._pattern):
            raise RegexError(f"has a ')' too many at character {self._at}")
        return found

    # --- alternatives, of parts ---

    def _alternatives(self) -> list[_Alternative]:
        found = [self._alternative()]
        while self._takes("|"):
            found.append(self._alternative())
        return found

    def _alternative(self) -> _Alternative:
        begins = self._takes("^")
        parts: list[Expression] = []
        while self._at < len(self._pattern) and self._peek() not in "|)":
            if self._takes("$"):
                if self._peek() not in ("", "|", ")"):
                    raise RegexError("has a '$' that is not at the end")
                return _Alternative(sequence(*parts), begins, True)
            parts.append(self._quantified(self._atom()))
        return _Alternative(sequence(*parts), begins, False)

    def _quantified(self, atom: Expression) -> Expression:
        found = self._quantifier()
        if found is None:
            return atom
        self._takes("?")  # lazy
        if self._peek() in ("*", "+", "?") or self._bounds():
            raise RegexError(f"has two quantifiers at character {self._at}")
        return times(atom, *found)

    def _quantifier(self) -> tuple[int, int | None] | None:
        if (operator := self._peek()) in _OPERATORS:
            self._at += 1
            return _OPERATORS[operator]
        bounds = self._bounds()
        if bounds is None:
            return None
        self._at = bounds.end()
        least = int(bounds[1])
        most = None if bounds[2] == "," else int(bounds[3] or least)
        if max(least, most or 0) > MAX_TIMES:
            raise RegexError(f"repeats {bounds[0]}; at most {MAX_TIMES} times are allowed")
        if most is not None and least > most:
            raise RegexError(f"repeats {bounds[0]}, at least more often than at most")
        return least, most

    def _bounds(self) -> re.Match[str] | None:
        return _BOUNDS.match(self._pattern, self._at)

    # --- parts ---

    def _atom(self) -> Expression:
        match character := self._next():
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return _DOT
            case "\\":
                return self._escape()
            case "^":
                raise RegexError("has a '^' that is not at the beginning")
            case "*" | "+" | "?":
                raise RegexError(f"has nothing before its '{character}'")
            case _:
                return Terminal(character)

    def _group(self) -> Expression:
        named = _GROUP.match(self._pattern, self._at)
        if named:
            self._at = named.end()
        elif self._peek() == "?":
            raise RegexError("looks around, or sets flags; neither is supported")
        self._depth += 1
        if self._depth > MAX_GROUPS:
            raise RegexError(f"has more than {MAX_GROUPS} groups within each other")
        options = self._alternatives()
        if not self._takes(")"):
            raise RegexError("has a '(' that is not closed")
        self._depth -= 1
        if any(one.begins or one.ends for one in options):
            raise RegexError("has an anchor in a group; put it outside")
        return either(one.body for one in options)

    def _escape(self) -> Expression:
        escaped = self._next()
        if (kind := _KINDS.get(escaped.lower())) is not None:
            return kind if escaped.islower() else Characters(kind.ranges, negated=True)
        if escaped in ("b", "B"):
            raise RegexError(f"has \\{escaped}, which is not supported")
        return Terminal(chr(self._escaped(escaped)))

    def _escaped(self, escaped: str) -> int:
        """The code point that is written as a backslash and what begins with ``escaped``."""
        if escaped in _HEX:
            return self._code(_HEX[escaped])
        if escaped in _CONTROLS and not (escaped == "0" and self._peek().isdigit()):
            return _CONTROLS[escaped]
        if escaped.isalnum() or not escaped:
            raise RegexError(f"has \\{escaped}, which is not supported")
        return ord(escaped)

    def _code(self, digits: int) -> int:
        found = _BRACED.match(self._pattern, self._at)
        written = found[1] if found else self._pattern[self._at : self._at + digits]
        if not found and not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", written):
            raise RegexError("has an escape with too few digits")
        self._at = found.end() if found else self._at + digits
        code = int(written, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise RegexError(f"has an escape of {written}, which is no character")
        return code

    # --- classes of characters ---

    def _class(self) -> Expression:
        negated = self._takes("^")
        ranges: list[tuple[int, int]] = []
        while not self._takes("]"):
            first = self._member()
            if isinstance(first, int) and self._spans():
                self._at += 1
                last = self._member()
                if not isinstance(last, int) or last < first:
                    raise RegexError("has a range of characters that is none")
                ranges.append((first, last))
            else:
                ranges += [(first, first)] if isinstance(first, int) else first
        found = complement(ranges) if negated else union(ranges)
        if not found:
            raise RegexError("has a class that admits no character")
        return Characters(union(ranges), negated) if negated and ranges else Characters(found)

    def _spans(self) -> bool:
        return self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", "")

    def _member(self) -> int | Sequence[tuple[int, int]]:
        character = self._next()
        if character != "\\":
            if self._pattern.startswith(("[:", "&&", "--", "~~"), self._at - 1):
                raise RegexError("has a class within a class, which is not supported")
            return ord(character)
        escaped = self._next()
        if escaped == "b":
            return 8
        if (kind := _KINDS.get(escaped.lower())) is not None:
            admitted = points_of(kind)
            return admitted if escaped.islower() else complement(admitted)
        return self._escaped(escaped)

    # --- characters ---

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        if not character:
            raise RegexError("ends too early")
        self._at += 1
        return character

    def _takes(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True


_BOUNDS = re.compile(r"\{([0-9]{1,9})(,([0-9]{1,9})?)?\}")
_GROUP = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)")
_BRACED = re.compile(r"\{([0-9a-fA-F]{1,8})\}")
