"""GBNF as llama.cpp reads it (b11549, grammars/README.md), as rules.

Names may have capitals and underscores there, which ours have not: rules are numbered, but `ROOT`.
"""

from __future__ import annotations

import re

from ipc.grammar.expressions import left_recursive, references, sequence, times, without_dead_ends
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

MAX_CHARS = 64 << 10
MAX_TIMES = 1000
MAX_GROUPS = 64  # within each other

_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]"}
_HEX = {"x": 2, "u": 4, "U": 8}
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_HEAD = re.compile(r"([A-Za-z0-9_-]+)[ \t]*::=")
_BLANK = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_BOUNDS = re.compile(r"\{[ \t]*([0-9]{1,9})[ \t]*(,[ \t]*([0-9]{1,9})?[ \t]*)?\}")
_OPERATORS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_ANY = Characters((), negated=True)


class GrammarError(ValueError):
    """Why a grammar is refused, in words that go on from "the grammar"."""


def read_gbnf(text: str) -> Rules:
    """The rules of ``text``. Raises `GrammarError`, for a grammar too that admits no text."""
    if len(text) > MAX_CHARS:
        raise GrammarError(f"has {len(text)} characters; at most {MAX_CHARS} are allowed")
    bodies = _Reader(text).read()
    if ROOT not in bodies:
        raise GrammarError("has no rule 'root'")
    for name, body in bodies.items():
        for used in sorted(references(body) - bodies.keys()):
            raise GrammarError(f"has no rule '{used}', which '{name}' uses")
    names = {name: ROOT if name == ROOT else f"rule-{at}" for at, name in enumerate(bodies)}
    found = without_dead_ends(
        Rules(tuple((names[name], _named(body, names)) for name, body in bodies.items()))
    )
    if found is None:
        raise GrammarError("admits no text: its rules never end")
    if (recursive := left_recursive(found)) is not None:
        again = next(name for name, ours in names.items() if ours == recursive)
        raise GrammarError(f"has a rule '{again}' that begins with itself")
    return found


def _named(expression: Expression, names: dict[str, str]) -> Expression:
    match expression:
        case Concatenation(parts):
            return Concatenation(tuple(_named(part, names) for part in parts))
        case Alternation(options):
            return Alternation(tuple(_named(option, names) for option in options))
        case Repetition(part, least, most):
            return Repetition(_named(part, names), least, most)
        case Reference(name):
            return Reference(names[name])
        case _:
            return expression


class _Reader:
    """One pass over a grammar, from top to bottom."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def read(self) -> dict[str, Expression]:
        bodies: dict[str, Expression] = {}
        self._skip(_LINES)
        while self._at < len(self._text):
            head = _HEAD.match(self._text, self._at)
            if head is None:
                raise self._wrong("a rule, as in 'root ::= …', must begin here")
            if head[1] in bodies:
                raise GrammarError(f"has two rules '{head[1]}'")
            self._at = head.end()
            self._skip(_LINES)
            bodies[head[1]] = self._alternatives()
            self._skip(_LINES)
        return bodies

    def _alternatives(self) -> Expression:
        options = [self._sequence()]
        while self._takes("|"):
            self._skip(_LINES)
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Alternation(tuple(options))

    def _sequence(self) -> Expression:
        parts: list[Expression] = []
        while True:
            self._skip(_LINES if self._depth else _BLANK)
            character = self._peek()
            if not character or character in "|)\r\n":
                break
            parts.append(self._repeated(self._part()))
        # An option of the next line belongs to this rule; anything else there begins another one.
        following = _LINES.match(self._text, self._at)
        if following and self._text.startswith("|", following.end()):
            self._at = following.end()
        return sequence(*parts)

    def _repeated(self, part: Expression) -> Expression:
        while True:
            if (operator := self._peek()) in _OPERATORS:
                self._at += 1
                bounds = _OPERATORS[operator]
            elif found := _BOUNDS.match(self._text, self._at):
                self._at = found.end()
                bounds = _bounds(found)
            else:
                return part
            part = times(part, *bounds)

    def _part(self) -> Expression:
        character = self._peek()
        if character == '"':
            return self._literal()
        if character == "[":
            return self._class()
        if character == ".":
            self._at += 1
            return _ANY
        if character == "(":
            return self._group()
        name = _NAME.match(self._text, self._at)
        if name is None:
            raise self._wrong(f"{character!r} begins no part of a rule")
        self._at = name.end()
        return Reference(name[0])

    def _group(self) -> Expression:
        self._at += 1
        self._depth += 1
        if self._depth > MAX_GROUPS:
            raise self._wrong(f"more than {MAX_GROUPS} groups are within each other")
        self._skip(_LINES)
        found = self._alternatives()
        self._skip(_LINES)
        if not self._takes(")"):
            raise self._wrong("a group must be closed here")
        self._depth -= 1
        return found

    def _literal(self) -> Expression:
        self._at += 1
        found = []
        while not self._takes('"'):
            found.append(self._character())
        return Terminal("".join(found))

    def _class(self) -> Expression:
        self._at += 1
        negated = self._takes("^")
        ranges = []
        while not self._takes("]"):
            first = last = ord(self._character())
            if self._peek() == "-" and not self._text.startswith("-]", self._at):
                self._at += 1
                last = ord(self._character())
            if last < first:
                raise self._wrong("a range of characters ends before it begins")
            ranges.append((first, last))
        if not ranges and not negated:
            raise self._wrong("a class admits no character")
        return Characters(tuple(ranges), negated)

    def _character(self) -> str:
        character = self._peek()
        if not character:
            raise self._wrong("a text or a class is not closed")
        self._at += 1
        if character != "\\":
            return character
        escaped = self._peek()
        self._at += 1
        if escaped in _ESCAPES:
            return _ESCAPES[escaped]
        return chr(self._code(escaped))

    def _code(self, escaped: str) -> int:
        digits = _HEX.get(escaped, 0)
        written = self._text[self._at : self._at + digits]
        if not digits or not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", written):
            raise self._wrong(f"'\\{escaped}' is no escape")
        self._at += digits
        code = int(written, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise self._wrong(f"{written} is no character")
        return code

    # --- characters ---

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _takes(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True

    def _skip(self, blank: re.Pattern[str]) -> None:
        found = blank.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _wrong(self, why: str) -> GrammarError:
        line = self._text.count("\n", 0, self._at) + 1
        return GrammarError(f"is wrong in line {line}: {why}")


def _bounds(found: re.Match[str]) -> tuple[int, int | None]:
    least = int(found[1])
    most = least if found[2] is None else int(found[3]) if found[3] else None
    if max(least, most or 0) > MAX_TIMES:
        raise GrammarError(f"repeats {found[0]}; at most {MAX_TIMES} times are allowed")
    if most is not None and most < least:
        raise GrammarError(f"repeats {found[0]}, at least more often than at most")
    return least, most
