"""Rules, and their text for each library, which tests/contract/test_grammars.py has read."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
from llguidance import LLMatcher, LLTokenizer

from ipc.grammar.characters import complement, intersection, union
from ipc.grammar.gbnf import to_ebnf, to_gbnf
from ipc.grammar.lark import to_lark
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

A, B = Terminal("a"), Terminal("b")
DIGIT = Characters(((ord("0"), ord("9")),))
ANY = Characters((), negated=True)
ANY_TEXT = r"[\u0000-\uD7FF\uE000-\U0010FFFF]"
# What some library reads as more than itself, and what is written by its number.
ODD = "\"\\]^-/'[\x00\x01\n\t\x7fé\u2028\ud7ff\ue000\uffff😀#|.*+?$(){}%&~@ ;:,<>=!_`aZ09"
BYTES = LLTokenizer("byte")


def of(root: Expression, **others: Expression) -> Rules:
    return Rules((("root", root), *others.items()))


WRITTEN: list[tuple[Expression, str]] = [
    (Terminal(""), '""'),
    (Terminal("a b"), '"a b"'),
    (Terminal('"\\'), r'"\u0022\u005C"'),
    (Terminal("\x00\né😀"), r'"\u0000\u000A\u00E9\U0001F600"'),
    (DIGIT, "[0-9]"),
    (Characters(((ord("a"), ord("a")), (ord("]"), ord("^")))), r"[a\u005D-\u005E]"),
    # xgrammar would read a digit after the number of a character as one of that.
    (Characters(((11, 31), (49, 56), (97, 122))), r"[1-8a-f\u000B-\u001Fg-z]"),
    (Characters(((34, 34),), negated=True), r"[^\u0022]"),
    (
        Characters(((ord("é"), ord("é")),), negated=True),
        r"[\u0000-\u00E8\u00EA-\uD7FF\uE000-\U0010FFFF]",
    ),
    (ANY, ANY_TEXT),
    (Concatenation(()), '""'),
    (Concatenation((A, B)), '"a" "b"'),
    (Concatenation((A, Alternation((A, B)))), '"a" ("a" | "b")'),
    (Alternation((Concatenation((A, B)), A)), '"a" "b" | "a"'),
    (Repetition(A), '"a"*'),
    (Repetition(A, 1), '"a"+'),
    (Repetition(A, 0, 1), '"a"?'),
    (Repetition(A, 2), '"a"{2,}'),
    (Repetition(A, 2, 2), '"a"{2}'),
    (Repetition(A, 0, 3), '"a"{0,3}'),
    (Repetition(Repetition(A, 2, 2)), '("a"{2})*'),
    (Repetition(Concatenation((Repetition(A),)), 3, 3), '("a"*){3}'),
    (Repetition(Alternation((A, B))), '("a" | "b")*'),
    (Repetition(Terminal("")), '""'),
]


@pytest.mark.parametrize(("expression", "text"), WRITTEN, ids=[text for _, text in WRITTEN])
def test_gbnf(expression: Expression, text: str) -> None:
    assert to_gbnf(of(expression)) == f"root ::= {text}\n"


COUNTED: list[tuple[Expression, str]] = [
    (Repetition(ANY), f"root ::= {ANY_TEXT}*\n"),
    (Repetition(ANY, 0, 1), f"root ::= {ANY_TEXT}?\n"),
    (Repetition(DIGIT, 2, 24), "root ::= [0-9]{2,24}\n"),
    (
        Repetition(ANY, 2, 64),
        f"root ::= times-1\ntimes-0 ::= {ANY_TEXT}\ntimes-1 ::= times-0{{2,64}}\n",
    ),
    (
        Repetition(ANY, 0, 200),
        f"root ::= times-2\ntimes-0 ::= {ANY_TEXT}\ntimes-1 ::= times-0{{64}}\n"
        "times-2 ::= times-1{0,2} times-0{0,63} | times-1{3} times-0{0,8}\n",
    ),
    (
        Repetition(ANY, 70),
        f"root ::= times-2 {ANY_TEXT}*\ntimes-0 ::= {ANY_TEXT}\n"
        "times-1 ::= times-0{64}\ntimes-2 ::= times-1 times-0{6}\n",
    ),
    (
        Concatenation((Repetition(ANY, 0, 64), A, Repetition(ANY, 0, 64))),
        f'root ::= times-1 "a" times-1\ntimes-0 ::= {ANY_TEXT}\ntimes-1 ::= times-0{{0,64}}\n',
    ),
    # One after the other and one of both are two things, whose parts are the same.
    (
        Concatenation(
            (Repetition(Concatenation((A, B)), 0, 64), Repetition(Alternation((A, B)), 0, 64))
        ),
        'root ::= times-1 times-3\ntimes-0 ::= "a" "b"\ntimes-1 ::= times-0{0,64}\n'
        'times-2 ::= "a" | "b"\ntimes-3 ::= times-2{0,64}\n',
    ),
]


@pytest.mark.parametrize(("expression", "text"), COUNTED)
def test_ebnf_counts_by_rules(expression: Expression, text: str) -> None:
    assert to_ebnf(of(expression)) == text


def test_rules_are_written_one_a_line() -> None:
    rules = of(Reference("x-1"), **{"x-1": Alternation((A, Reference("root")))})
    assert to_ebnf(rules) == 'root ::= x-1\nx-1 ::= "a" | root\n'


@pytest.mark.parametrize("write", [to_ebnf, to_gbnf, to_lark])
@pytest.mark.parametrize("nothing", [Characters(()), Alternation(())])
def test_what_admits_nothing_is_not_written(
    write: Callable[[Rules], str], nothing: Expression
) -> None:
    with pytest.raises(ValueError, match=r"none|no options"):
        write(of(nothing))


@functools.lru_cache(maxsize=8)
def read(rules: Rules) -> LLMatcher:
    matcher = LLMatcher(BYTES, LLMatcher.grammar_from_lark(to_lark(rules)))
    assert not matcher.is_error(), matcher.get_error()
    return matcher


def admits(rules: Rules, text: str) -> bool:
    matcher = read(rules).deep_copy()
    tokens = list(text.encode())
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


NESTED = of(
    Alternation((Terminal(""), Concatenation((Terminal("("), Reference("start"), Terminal(")"))))),
    start=Reference("root"),
)


@pytest.mark.parametrize(
    ("rules", "admitted", "refused"),
    [
        (of(Terminal(ODD)), [ODD], [ODD[:-1], ODD + "x", ""]),
        (of(Repetition(DIGIT, 2, 3)), ["12", "123"], ["1", "1234", "a2"]),
        (of(Concatenation((Repetition(A), Repetition(Alternation((A, B)))))), ["", "aab"], ["c"]),
        (NESTED, ["", "()", "((()))"], ["(", "())", ")("]),
        # As lexemes that are as long as can be, "ab" would hide "a" and then "bc".
        (
            of(
                Alternation(
                    (
                        Terminal("abx"),
                        Concatenation((A, Terminal("bc"), Repetition(Reference("root"), 0, 1))),
                    )
                )
            ),
            ["abx", "abc", "abcabcabx"],
            ["ab", "abcab"],
        ),
    ],
    ids=["odd", "digits", "overlap", "nested", "lexemes"],
)
def test_lark(rules: Rules, admitted: list[str], refused: list[str]) -> None:
    assert [admits(rules, text) for text in admitted] == [True] * len(admitted)
    assert [admits(rules, text) for text in refused] == [False] * len(refused)


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("one", ODD, ids=[f"{ord(character):x}" for character in ODD])
def test_lark_characters(one: str, negated: bool) -> None:
    rules = of(Characters(((ord(one), ord(one)),), negated))
    assert {other for other in ODD if admits(rules, other)} == (
        {*ODD} - {one} if negated else {one}
    )


def test_sets_of_characters() -> None:
    assert union([(5, 9), (1, 4), (20, 30), (25, 26)]) == ((1, 9), (20, 30))
    assert union([(0xD000, 0xE000)]) == ((0xD000, 0xD7FF), (0xE000, 0xE000))
    assert complement([(1, 0xD7FE), (0xE000, 0x10FFFE)]) == (
        (0, 0),
        (0xD7FF, 0xD7FF),
        (0x10FFFF, 0x10FFFF),
    )
    assert intersection(((1, 9),), ((5, 20),)) == ((5, 9),)
