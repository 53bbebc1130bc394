"""Forms of answers as rules: what they admit, and why some are refused."""

from __future__ import annotations

import json

import pytest

from ipc.grammar.forms import FormError, compile_form, rules_of
from ipc.messages.jobs import Choice, Form, Gbnf, Json, Regex
from tests.unit.ipc.grammar.recogniser import admits

LIST = """
root ::= "<" item ("," item)* ">"   # a comment
item ::= [a-c^\\]-]+ | num_1
  | "\\x41\\u00e9"
num_1 ::= [0-9]{2,3} (
  "." .  )?
"""

ADMITTED: list[tuple[Form, list[str], list[str]]] = [
    (Regex(pattern="a|b+"), ["a", "bb"], ["", "ab", "c"]),
    (Regex(pattern="^(?:\\d{2}-)?[^a-z]$"), ["12-X", "é"], ["12-", "a", "1-X"]),
    (Regex(pattern="a*"), ["a", "aa"], ["", "b"]),
    (Regex(pattern="(a?b?){0,2}"), ["a", "ab", "b", "abab"], ["", "ababa"]),
    (Regex(pattern=r"\w+@\S\.\x41\u{1F600}"), ["a_1@é.A😀"], ["a@ .A😀"]),
    (Regex(pattern=r"[\d\-a-c.\]]+"), ["1-c.]"], ["d"]),
    (Regex(pattern="a+?b??"), ["a", "aab"], ["b"]),
    (Choice(texts=["yes", "no", 'sa"y']), ["yes", "no", 'sa"y'], ["", "ye", "yesno"]),
    (Gbnf(text=LIST), ["<a^]->", "<b,12,123.x,Aé>"], ["<>", "<1>", "<12.>", "<d>"]),
    (Gbnf(text='root ::= "a"*'), ["a", "aa"], ["", "b"]),
    (Gbnf(text='root ::= ("(" root ")")?'), ["()", "(())"], ["", "(()"]),
    (Json(schema='{"type": "integer"}'), ["0", "-12"], ["", "1.5", "01"]),
]

REFUSED: list[tuple[Form, str]] = [
    (Regex(pattern="(?=a)b"), "the pattern looks around, or sets flags; neither is supported"),
    (Regex(pattern="a{2,1}"), "the pattern repeats {2,1}, at least more often than at most"),
    (Regex(pattern="a{1001}"), "the pattern repeats {1001}; at most 1000 times are allowed"),
    (Regex(pattern="(a"), "the pattern has a '(' that is not closed"),
    (Regex(pattern="a)"), "the pattern has a ')' too many at character 1"),
    (Regex(pattern="*a"), "the pattern has nothing before its '*'"),
    (Regex(pattern="a**"), "the pattern has two quantifiers at character 2"),
    (Regex(pattern="[b-a]"), "the pattern has a range of characters that is none"),
    (Regex(pattern="[^\\s\\S]"), "the pattern has a class that admits no character"),
    (Regex(pattern="a^"), "the pattern has a '^' that is not at the beginning"),
    (Regex(pattern="a$b"), "the pattern has a '$' that is not at the end"),
    (Regex(pattern="(^a)"), "the pattern has an anchor in a group; put it outside"),
    (Regex(pattern=r"\ba"), "the pattern has \\b, which is not supported"),
    (Regex(pattern=r"(a)\1"), "the pattern has \\1, which is not supported"),
    (Regex(pattern=""), "the pattern admits nothing but the empty text"),
    (Regex(pattern=r"a\x00b"), "the pattern asks for the character NUL, which no answer can have"),
    (
        Regex(pattern="([\\x00])+"),
        "the pattern asks for the character NUL, which no answer can have",
    ),
    (
        Gbnf(text='root ::= a?\na ::= "b\\x00"'),
        "the grammar asks for the character NUL, which no answer can have",
    ),
    (Choice(texts=["a", "b\0"]), "a choice has the character NUL, which no answer can have"),
    (Choice(texts=[]), "there must be choices, and none of them empty"),
    (Choice(texts=["a", ""]), "there must be choices, and none of them empty"),
    (Gbnf(text='x ::= "a"'), "the grammar has no rule 'root'"),
    (Gbnf(text="root ::= a"), "the grammar has no rule 'a', which 'root' uses"),
    (Gbnf(text='root ::= "a'), "the grammar is wrong in line 1: a text or a class is not closed"),
    (Gbnf(text='root ::= "a"\nroot ::= "b"'), "the grammar has two rules 'root'"),
    (Gbnf(text='root ::= "a" root'), "the grammar admits no text: its rules never end"),
    (Gbnf(text='root ::= "a" | root "b"'), "the grammar has a rule 'root' that begins with itself"),
    (
        Gbnf(text="hello"),
        "the grammar is wrong in line 1: a rule, as in 'root ::= …', must begin here",
    ),
    (Json(schema="{"), "is no JSON: Input data was truncated"),
    (Json(schema="false"), "admits no value"),
]


@pytest.mark.parametrize(("form", "admitted", "refused"), ADMITTED)
def test_texts_of_a_form(form: Form, admitted: list[str], refused: list[str]) -> None:
    rules = rules_of(form)
    assert [text for text in admitted if not admits(rules, text)] == []
    assert [text for text in refused if admits(rules, text)] == []


@pytest.mark.parametrize(("form", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_a_form_that_is_refused(form: Form, why: str) -> None:
    with pytest.raises(FormError) as caught:
        rules_of(form)
    assert str(caught.value) == why


def test_what_is_not_strict_loses_what_cannot_be_kept() -> None:
    schema = json.dumps({"properties": {"a": {"type": "integer", "multipleOf": 3}}})
    with pytest.raises(FormError) as caught:
        rules_of(Json(schema=schema))
    assert caught.value.pointer == "#/properties/a/multipleOf"
    found = compile_form(Json(schema=schema, strict=False))
    assert found.dropped == ("#/properties/a/multipleOf",)
    assert admits(found.rules, '{"a":2}')


def test_a_form_is_compiled_once() -> None:
    assert rules_of(Regex(pattern="once")) is rules_of(Regex(pattern="once"))


def test_references_that_double_at_each_level_are_refused_at_once() -> None:
    levels = {
        f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}, {"$ref": f"#/$defs/d{at + 1}"}]}
        for at in range(40)
    }
    schema = {"$ref": "#/$defs/d0", "$defs": {**levels, "d40": {"type": "null"}}}
    for strict in (True, False):
        with pytest.raises(FormError, match="too large"):
            compile_form(Json(schema=json.dumps(schema), strict=strict))


def test_a_schema_has_not_too_many_properties() -> None:
    names = {f"p{at}": {"type": "null"} for at in range(257)}
    with pytest.raises(FormError, match="has 257 properties; at most 256"):
        compile_form(Json(schema=json.dumps({"type": "object", "properties": names})))


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string", "format": "uri"}, "text"),
        ({"type": "string", "pattern": "^[a-z]{1,30}$"}, "text"),
        ({"type": "array", "items": {"type": "integer"}}, "item"),
    ],
)
def test_what_two_properties_have_in_common_is_one_rule(schema: dict[str, str], kind: str) -> None:
    found = compile_form(Json(schema=json.dumps({"properties": {"a": schema, "b": schema}})))
    assert [name.partition("-")[0] for name, _ in found.rules.rules].count(kind) == 1
