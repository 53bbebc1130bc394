"""What may follow the beginning of a text: with it, just what makes a whole one."""

from __future__ import annotations

import pytest

from ipc.grammar.expressions import either
from ipc.grammar.forms import rules_of
from ipc.grammar.rest import NoRestError, rest
from ipc.grammar.rules import (
    ROOT,
    Characters,
    Concatenation,
    Reference,
    Repetition,
    Rules,
    Terminal,
)
from ipc.messages.jobs import Choice, Form, Gbnf, Json, Regex
from tests.unit.ipc.grammar.recogniser import admits

PERSON = (
    '{"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}, "likes": '
    '{"type": "array", "items": {"enum": ["tea", "Süßes", "🎉"]}, "maxItems": 2}}, '
    '"required": ["name", "likes"], "additionalProperties": false}'
)
NESTED = 'root ::= item ("," item)*\nitem ::= [a-z] | "(" root? ")"'
CASES: list[tuple[Form, str, list[str]]] = [
    (Choice(texts=["no", "nobody", "🎉 yes"]), "nobody", ["n", "nob", "🎉"]),
    (Choice(texts=["no", "nobody", "🎉 yes"]), "🎉 yes", ["no", ""]),
    (Regex(pattern="[a-c]{3}-[0-9]{2,4}!"), "abc-123!", ["-1!", "c-12345!"]),
    (Regex(pattern="(ab|a)*b?"), "abaabb", ["c"]),
    (Json(schema=PERSON), '{"name": "Ö🎉x", "likes": ["tea", "🎉"]}', ["]", '"', "}"]),
    (Gbnf(text=NESTED), "a,(b,(),c),d", [")", ",", "(a"]),
]


@pytest.mark.parametrize(("form", "text", "others"), CASES, ids=lambda one: str(one)[:20])
def test_the_rest_of_a_text_is_admitted_wherever_it_is_cut(
    form: Form, text: str, others: list[str]
) -> None:
    rules = rules_of(form)
    assert admits(rules, text)
    for at in range(len(text) + 1):
        before, after = text[:at], text[at:]
        left = rest(rules, before)
        assert admits(left, after)
        for other in [*others, after[:-1], after + "x"]:
            assert admits(left, other) == admits(rules, before + other)


def test_a_text_that_is_whole_may_have_no_rest_or_some() -> None:
    assert rest(rules_of(Choice(texts=["no"])), "no") == Rules(((ROOT, Terminal("")),))
    left = rest(rules_of(Choice(texts=["no", "now"])), "no")
    assert [admits(left, each) for each in ("", "w", "n")] == [True, True, False]


def test_what_is_not_admitted_has_no_rest() -> None:
    for text in ("x", "nobody!", "now"):
        with pytest.raises(NoRestError):
            rest(rules_of(Choice(texts=["no", "nobody"])), text)


def test_the_rest_of_a_long_text_is_no_longer_than_that_of_a_short_one() -> None:
    rules = rules_of(Json(schema='{"type": "array", "items": {"type": "string"}}'))
    short = rest(rules, '["a", "b')
    assert rest(rules, "[" + '"abcdefgh", ' * 200 + '"b') == short


def test_rules_that_are_not_needed_any_more_are_left_out() -> None:
    letter = Characters(((0x61, 0x7A),))
    rules = Rules(
        (
            (ROOT, Concatenation((Reference("one"), Reference("two")))),
            ("one", Terminal("a:")),
            ("two", Repetition(letter, 1, 3)),
        )
    )
    assert {name for name, _ in rest(rules, "a:x").rules} == {ROOT}


def test_ways_without_end_are_given_up() -> None:
    again = Repetition(Reference(ROOT), 0, 1)
    with pytest.raises(NoRestError, match="too many ways"):
        rest(Rules(((ROOT, Concatenation((Terminal("a"), again, again))),)), "a" * 400)


def _doubling(depth: int) -> Rules:
    """Each rule is twice the next one, the last may be empty: 2 ** depth ways to read a text."""
    twice = [
        (f"r{at}", Concatenation((Reference(f"r{at + 1}"), Reference(f"r{at + 1}"))))
        for at in range(depth)
    ]
    return Rules(((ROOT, Reference("r0")), *twice, (f"r{depth}", Repetition(A, 0, 1))))


def _chain(length: int) -> Rules:
    links = [
        (f"r{at}", Concatenation((Repetition(A, 0, 1), Reference(f"r{at + 1}"))))
        for at in range(length)
    ]
    return Rules(((ROOT, Reference("r0")), *links, (f"r{length}", A)))


A = Characters(((ord("a"), ord("a")),))
PALINDROMES = Rules(
    (
        (ROOT, Reference("s")),
        ("s", either([A, Concatenation((A, Reference("s"), A))])),
    )
)


@pytest.mark.parametrize(
    ("rules", "text"),
    [(_doubling(60), "aaaa"), (_chain(20_000), "aa"), (PALINDROMES, "a" * 100_000)],
    ids=["doubling", "a long chain", "many ends"],
)
def test_what_would_take_for_ever_is_given_up(rules: Rules, text: str) -> None:
    with pytest.raises(NoRestError):
        rest(rules, text)
