"""Rules made of rules, and what is worked out about them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.grammar.compose import prefixed, up_to, with_root, without
from ipc.grammar.expressions import left_recursive, sequence, without_dead_ends
from ipc.grammar.forms import rules_of
from ipc.grammar.gbnf import to_ebnf
from ipc.grammar.rules import Alternation, Expression, Reference, Repetition, Rules, Terminal
from ipc.messages.jobs import Json
from tests.unit.ipc.grammar.recogniser import admits

A, B, SELF, X = Terminal("a"), Terminal("b"), Reference("root"), Reference("x")
NONE = Alternation(())
Listed = list[tuple[str, Expression]]
INTEGER = rules_of(Json(schema='{"type":"integer"}'))
OBJECT = rules_of(Json(schema='{"type":"object"}'))


def test_values_stand_between_markers() -> None:
    root = sequence(
        Terminal("<"), Reference("x-root"), Terminal("|"), Reference("y-root"), Terminal(">")
    )
    rules = with_root(root, prefixed(INTEGER, "x"), prefixed(OBJECT, "y"))
    assert admits(rules, '<12|{"a":[1]}>')
    assert not admits(rules, "<a|{}>")


def test_two_rules_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="one name"):
        with_root(A, prefixed(INTEGER, "x"), prefixed(OBJECT, "x"))


@pytest.mark.parametrize("marker", ["a", "ab", "aab", "abab", "aabaaab", "</think>"])
@given(text=st.text("ab<", max_size=12))
def test_a_text_without_a_marker(marker: str, text: str) -> None:
    free = with_root(Reference("t-root"), without("t", marker))
    ended = with_root(Reference("t-root"), up_to("t", marker))
    assert admits(free, text) == (marker not in text)
    assert admits(ended, text + marker) == ((text + marker).index(marker) == len(text))
    assert not admits(ended, text) or text.endswith(marker)


@given(text=st.text('{"n: <', max_size=9))
def test_a_text_that_begins_with_none_of_some(text: str) -> None:
    begins = [' { "n" :', " n<"]
    free = with_root(Reference("t-root"), without("t", "<<", begins=begins))
    forbidden = re.match(r"\s*(\{\s*\"n\"\s*:|n<)", text)
    assert admits(free, text) == (forbidden is None and "<<" not in text)


@pytest.mark.parametrize("text", ["", " "])
def test_every_text_begins_with_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        without("t", begins=[text])


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ([("root", Alternation((A, X))), ("x", X)], 'root ::= "a"\n'),
        (
            [("root", sequence(A, Repetition(X))), ("x", NONE)],
            'root ::= "a"\n',
        ),
        ([("root", A), ("x", B)], 'root ::= "a"\n'),
        ([("root", sequence(A, SELF))], None),
    ],
)
def test_what_leads_nowhere_is_left_out(rules: Listed, kept: str | None) -> None:
    found = without_dead_ends(Rules(tuple(rules)))
    assert (found and to_ebnf(found)) == kept


@pytest.mark.parametrize(
    ("rules", "name"),
    [
        ([("root", sequence(A, Repetition(SELF)))], None),
        ([("root", Alternation((A, SELF)))], "root"),
        ([("root", sequence(Repetition(A), SELF, B))], "root"),
        (
            [("root", Alternation((A, X))), ("x", sequence(SELF, B))],
            "root",
        ),
    ],
)
def test_a_rule_that_begins_with_itself(rules: Listed, name: str | None) -> None:
    assert left_recursive(Rules(tuple(rules))) == name
