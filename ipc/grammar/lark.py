"""Rules as Lark, as llguidance reads it (1.9.1).

llguidance splits a text into lexemes, each as long as can be, before its parser sees it. So a
lexeme must end where the rules say. A grammar without recursion is one lexeme, a regular
expression, which is also the fastest by far. In others the longest parts without recursion are
lexemes (`lexemes`), where it can be shown that their ends are told; else each character is one.
"""

from __future__ import annotations

from collections.abc import Mapping

from ipc.grammar.characters import LAST, points_of, union
from ipc.grammar.expressions import references
from ipc.grammar.lexemes import PREFIX, folded
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


def to_lark(rules: Rules) -> str:
    """``rules`` for ``LLMatcher(tokenizer, LLMatcher.grammar_from_lark(…))``."""
    bodies = dict(rules.rules)
    if ROOT in _regular(bodies):
        lines = [f"{_lexeme_name(name)}: {_lexeme(body)}\n" for name, body in bodies.items()]
        return f"start: {_lexeme_name(ROOT)}\n{''.join(lines)}"
    lines = [
        f"{_lexeme_name(name)}: /{_regex(body)}/\n"
        if name.startswith(PREFIX)
        else f"{_name(name)}: {_write(body)}\n"
        for name, body in (folded(rules) or rules).rules
    ]
    return f"start: {_name(ROOT)}\n{''.join(lines)}"


def _regular(bodies: Mapping[str, Expression]) -> set[str]:
    """The rules that lead to no recursion."""
    found: set[str] = set()
    uses = {name: references(body) for name, body in bodies.items()}
    while more := {name for name, used in uses.items() if name not in found and used <= found}:
        found |= more
    return found


def _name(name: str) -> str:
    """Ours may be ``start``, and have hyphens."""
    return f"r_{name.replace('-', '_')}"


def _lexeme_name(name: str) -> str:
    return _name(name).upper()


# --- as rules ---


def _write(expression: Expression) -> str:
    match expression:
        case Terminal(text):
            return " ".join(f"/{_escaped(ord(character))}/" for character in text) or '""'
        case Characters():
            return f"/{_class(expression)}/"
        case Concatenation(parts):
            return f"({' '.join(map(_write, parts))})" if parts else '""'
        case Alternation(options):
            return f"({' | '.join(map(_write, options))})"
        case Repetition(part, least, most):
            return f"({_write(part)}){_times(least, most)}"
        case Reference(name):
            return _lexeme_name(name) if name.startswith(PREFIX) else _name(name)


def _times(least: int, most: int | None) -> str:
    return f"{{{least},{'' if most is None else most}}}"


# --- as lexemes, which may be made of others ---


def _lexeme(expression: Expression) -> str:
    """As long as there are no names in it, one regular expression."""
    if not references(expression):
        return f"/{_regex(expression)}/"
    match expression:
        case Concatenation(parts):
            return f"({' '.join(map(_lexeme, parts))})"
        case Alternation(options):
            return f"({' | '.join(map(_lexeme, options))})"
        case Repetition(part, least, most):
            return f"({_lexeme(part)}){_times(least, most)}"
        case Reference(name):
            return _lexeme_name(name)
        case Terminal() | Characters():
            return f"/{_regex(expression)}/"


def _regex(expression: Expression) -> str:
    """In the syntax of Rust's crate ``regex``."""
    match expression:
        case Terminal(text):
            return f"(?:{''.join(_escaped(ord(character)) for character in text)})"
        case Characters():
            return _class(expression)
        case Concatenation(parts):
            return f"(?:{''.join(map(_regex, parts))})"
        case Alternation(options):
            if not options:
                raise ValueError("an alternation has no options")
            return f"(?:{'|'.join(map(_regex, options))})"
        case Repetition(part, least, most):
            return f"(?:{_regex(part)}){_times(least, most)}"
        case Reference(name):
            raise ValueError(f"{name} is a rule")


def _class(characters: Characters) -> str:
    if not (admitted := points_of(characters)):
        raise ValueError("a class of characters admits none")
    ranges, sign = (admitted, "")
    if characters.negated and admitted != union([(0, LAST)]):
        ranges, sign = union(characters.ranges), "^"
    return f"[{sign}{''.join(f'{_escaped(first)}-{_escaped(last)}' for first, last in ranges)}]"


def _escaped(code: int) -> str:
    """Letters and digits mean themselves; any other character is written by its number."""
    character = chr(code)
    return character if character.isascii() and character.isalnum() else f"\\x{{{code:X}}}"
