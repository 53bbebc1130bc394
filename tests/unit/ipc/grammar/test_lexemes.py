"""Which grammars are read in lexemes, and which in characters."""

from __future__ import annotations

import pytest

from ipc.grammar.forms import rules_of
from ipc.grammar.gbnf import to_gbnf
from ipc.grammar.lexemes import folded
from ipc.grammar.rules import Rules
from ipc.messages.jobs import Gbnf, Json
from tests.unit.ipc.grammar.recogniser import admits as known
from tests.unit.ipc.grammar.test_writers import admits


def read(text: str) -> Rules:
    return rules_of(Gbnf(text=text))


def test_the_longest_parts_without_recursion_are_lexemes() -> None:
    found = folded(read('root ::= "(" [0-9]+ ("," root)? ")"'))
    assert found is not None
    assert to_gbnf(found) == (
        "root ::= lexeme-0 (lexeme-1 root)? lexeme-2\n"
        'lexeme-0 ::= "(" [0-9]+\n'
        'lexeme-1 ::= ","\n'
        'lexeme-2 ::= ")"\n'
    )


def test_any_json_is_read_in_lexemes() -> None:
    assert folded(rules_of(Json(schema="{}"))) is not None


# The first has "ab" where "a" and then "b" stand as well; as long as can be would miss one.
CLASH = [
    ('root ::= "a" x\nx ::= "ab" | "b" root | "b"', ["aab", "ab", "abaab"], ["a", "aa", "abb"]),
    ('root ::= [0-9]+ x\nx ::= "1" | "(" root ")"', ["01", "1(11)"], ["1", "1(1)"]),
    ('root ::= "a"* ("a" root "b")?', ["", "aaab", "ab"], ["b", "aabbb"]),
]


@pytest.mark.parametrize(("text", "admitted", "refused"), CLASH)
def test_where_lengths_do_not_tell_characters_do(
    text: str, admitted: list[str], refused: list[str]
) -> None:
    rules = read(text)
    for one in (*admitted, *refused):
        assert admits(rules, one) == known(rules, one), one


@pytest.mark.parametrize("text", [CLASH[1][0], CLASH[2][0]])
def test_what_is_not_told_apart_is_not_folded(text: str) -> None:
    assert folded(read(text)) is None
