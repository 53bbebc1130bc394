"""The form that an answer is to have, by all the ways in which clients ask for one."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.api.openai.chat_request import parse_chat
from frontend.grammar.gate import AskedForm
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Choice, Form, Gbnf, Json, Regex
from tests.unit.frontend.http_fakes import CHAT

SCHEMA = {"type": "object", "properties": {"ort": {"const": "Köln"}}}
ANY_OBJECT = Json(schema='{"type":"object"}')
OF_SCHEMA = Json(schema='{"type":"object","properties":{"ort":{"const":"Köln"}}}')
LOOSE = Json(schema=OF_SCHEMA.schema, strict=False)
LETTER = Gbnf(text='root ::= "a"')


def asked(**fields: Any) -> list[AskedForm]:
    messages = [{"role": "user", "content": "hi"}]
    request = parse_chat({"model": "org/chat", "messages": messages, **fields})
    form = request.to_input(CHAT, []).form
    forms = request.bound_forms()
    assert form == (forms[0].form if request.asked_form() else None)
    return forms


def of_type(kind: str, **more: Any) -> dict[str, Any]:
    return {"response_format": {"type": kind, **more}}


def named(**more: Any) -> dict[str, Any]:
    return of_type("json_schema", json_schema={"name": "x", **more})


WAYS: list[tuple[dict[str, Any], Form, str]] = [
    (of_type("json_object"), ANY_OBJECT, "response_format"),
    (of_type("json_object", schema=SCHEMA), OF_SCHEMA, "response_format.schema"),
    (named(schema=SCHEMA), OF_SCHEMA, "response_format.json_schema.schema"),
    (named(schema=SCHEMA, strict=True), OF_SCHEMA, "response_format.json_schema.schema"),
    (named(schema=SCHEMA, strict=False), LOOSE, "response_format.json_schema.schema"),
    (named(), ANY_OBJECT, "response_format"),
    (of_type("json_schema", schema=SCHEMA), OF_SCHEMA, "response_format.schema"),
    ({"structured_outputs": {"json": SCHEMA}}, OF_SCHEMA, "structured_outputs.json"),
    ({"structured_outputs": {"json": OF_SCHEMA.schema}}, OF_SCHEMA, "structured_outputs.json"),
    ({"structured_outputs": {"regex": "a"}}, Regex(pattern="a"), "structured_outputs.regex"),
    ({"structured_outputs": {"choice": ["a"]}}, Choice(texts=["a"]), "structured_outputs.choice"),
    ({"structured_outputs": {"grammar": LETTER.text}}, LETTER, "structured_outputs.grammar"),
    ({"structured_outputs": {"json_object": True}}, ANY_OBJECT, "structured_outputs.json_object"),
    ({"guided_json": SCHEMA}, OF_SCHEMA, "guided_json"),
    ({"guided_json": OF_SCHEMA.schema}, OF_SCHEMA, "guided_json"),
    ({"guided_regex": "a"}, Regex(pattern="a"), "guided_regex"),
    ({"guided_choice": ["a", "b"]}, Choice(texts=["a", "b"]), "guided_choice"),
    ({"guided_grammar": LETTER.text}, LETTER, "guided_grammar"),
    ({"guided_json_object": True}, ANY_OBJECT, "guided_json_object"),
    ({"regex": "a"}, Regex(pattern="a"), "regex"),
    ({"ebnf": LETTER.text}, LETTER, "ebnf"),
    ({"grammar": LETTER.text}, LETTER, "grammar"),
    ({"json_schema": SCHEMA}, OF_SCHEMA, "json_schema"),
    ({"json_schema": OF_SCHEMA.schema}, OF_SCHEMA, "json_schema"),
    ({"format": "json"}, ANY_OBJECT, "format"),
    ({"format": SCHEMA}, OF_SCHEMA, "format"),
]


@pytest.mark.parametrize(("fields", "form", "param"), WAYS)
def test_ways_to_ask_for_a_form(fields: dict[str, Any], form: Form, param: str) -> None:
    assert asked(**fields) == [AskedForm(form, param)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        of_type("text"),
        {"structured_outputs": {}},
        {"structured_outputs": None},
        {"guided_json_object": False},
        {"grammar": "", "format": "", "regex": "", "json_schema": None},
    ],
)
def test_ways_to_ask_for_none(fields: dict[str, Any]) -> None:
    assert asked(**fields) == []


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (of_type("xml"), "response_format.type", "must be one of text, json_object, json_schema"),
    (of_type("json_schema"), "response_format.json_schema", "is required"),
    (named(schema=[]), "response_format.json_schema.schema", "must be a JSON Schema"),
    ({"regex": "a", "format": "json"}, "format", "`regex` and `format` each ask for a form"),
    (
        {"structured_outputs": {"regex": "a", "choice": ["b"]}},
        "structured_outputs",
        "it has 2",
    ),
    ({"structured_outputs": {"json_object": False}}, "structured_outputs", "it has 0"),
    (
        {"structured_outputs": {"regex": "a", "whitespace_pattern": " "}},
        "structured_outputs.whitespace_pattern",
        "is not supported",
    ),
    (
        {"structured_outputs": {"json": {}, "disable_any_whitespace": True}},
        "structured_outputs.disable_any_whitespace",
        "is not supported",
    ),
    ({"structural_tag": {}}, "structural_tag", "is not supported"),
    ({"guided_choice": []}, "guided_choice", "must have at least 1 item"),
]


@pytest.mark.parametrize(("fields", "param", "why"), REFUSED)
def test_what_asks_for_no_form_is_refused(fields: dict[str, Any], param: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(**fields)
    assert caught.value.param == param
    assert why in caught.value.message


def tool(name: str, strict: bool = False) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA, "strict": strict}}


TOOLS = [tool("a"), tool("b", strict=True), {"type": "function", "function": {"name": "c"}}]
A = AskedForm(LOOSE, "tools[0].function.parameters")
B = AskedForm(OF_SCHEMA, "tools[1].function.parameters")


@pytest.mark.parametrize(
    ("choice", "bound"),
    [
        ("auto", [B]),
        ("none", []),
        ("required", [A, B]),
        ({"type": "function", "function": {"name": "a"}}, [A]),
        ({"type": "function", "function": {"name": "c"}}, []),
    ],
)
def test_arguments_are_bound_if_strict_or_forced(choice: Any, bound: list[AskedForm]) -> None:
    assert asked(tools=TOOLS, tool_choice=choice) == bound
