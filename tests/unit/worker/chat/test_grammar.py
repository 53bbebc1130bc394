"""What answers must look like, and that the parser of the same dialect reads what is forced."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.grammar.rules import Rules
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import ChatInput, Choice, Json, Text, Tool
from tests.unit.ipc.grammar.recogniser import admits
from tests.unit.worker.chat.spoken import CLOCK, THINK, asked, dialect, spoken, tool
from tests.unit.worker.chat.texts_of_rules import Texts
from worker.chat.dialects.detect import FORMATS
from worker.chat.dialects.generic import GENERIC, NATIVE
from worker.chat.dialects.harmony import HARMONY_ANALYSIS
from worker.chat.dialects.model_dialect import ModelDialect
from worker.chat.grammar import AnyText, grammar_of

NAMES = [form.name for form in FORMATS]
ONE_AT_A_TIME = {"gpt_oss"}
each = pytest.mark.parametrize("name", NAMES)


def rules(asked: ChatInput, model: ModelDialect, tail: str = "") -> Rules:
    found = grammar_of(asked, model, tail)
    assert isinstance(found, Rules)
    return found


SCHEMAS: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "string", "enum": ["a", "b c", "ü"]},
    {"type": "string", "minLength": 1, "maxLength": 3},
    {"type": "string", "pattern": "^[a-c]{2,4}$"},
    {"type": "string", "format": "date"},
    {"type": "integer", "minimum": -3, "maximum": 12},
    {"type": "number"},
    {"type": "boolean"},
    {"type": ["integer", "null"]},
    {"type": "array", "items": {"type": "string"}},
    {
        "type": "object",
        "properties": {"x": {"type": "integer"}},
        "required": ["x"],
        "additionalProperties": False,
    },
]


@st.composite
def tools(draw: st.DrawFn) -> list[Tool]:
    made: list[Tool] = []
    for at in range(draw(st.integers(1, 3))):
        chosen = draw(st.lists(st.sampled_from(SCHEMAS), max_size=3))
        properties = {f"k{n}": schema for n, schema in enumerate(chosen)}
        required = [key for key in properties if draw(st.booleans())]
        parameters = {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }
        text = json.dumps(parameters) if draw(st.booleans()) or chosen else None
        made.append(Tool(name=f"tool-{at}", parameters=text, strict=True))
    return made


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """As far as `SCHEMAS` go."""
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    match schema["type"]:
        case "number":
            return isinstance(value, (int, float))
        case ["integer", "null"]:
            return value is None or isinstance(value, int)
        case "integer":
            return isinstance(value, int) and -3 <= value <= 12
        case "string":
            return isinstance(value, str) and value in schema.get("enum", [value])
        case kind:
            return isinstance(value, kinds[kind])


@each
@settings(max_examples=12, deadline=None)
@given(tools=tools(), several=st.booleans(), seed=st.integers(0, 2**32))
def test_what_is_forced_is_read_as_calls(
    name: str, tools: list[Tool], several: bool, seed: int
) -> None:
    model = dialect(name)
    one = asked(tools, must_call=True, parallel_calls=several)
    text = Texts(rules(one, model), seed).draw()
    said = spoken(model, [text], one)
    by_name = {tool.name: tool for tool in tools}
    assert said, text
    assert len(said) == 1 or several
    for called, arguments in said:
        assert called in by_name, (text, said)
        schema = json.loads(by_name[called].parameters or "{}")
        given = json.loads(arguments, strict=False)
        assert set(given) >= set(schema.get("required", [])), text
        for key, value in given.items():
            assert fits(value, schema["properties"][key]), (text, key, value)


ARGUMENTS = st.fixed_dictionaries(
    {
        "city": st.text(st.characters(codec="utf-8", exclude_characters="<\r\x1c"), max_size=8),
        "days": st.integers(-99, 999),
    }
)
TRIP = tool("trip", strict=True, city="string", days="integer")


@pytest.mark.parametrize("name", [one for one in NAMES if one not in ONE_AT_A_TIME])
@settings(max_examples=12, deadline=None)
@given(calls=st.lists(ARGUMENTS, min_size=1, max_size=3))
def test_calls_of_a_history_are_read_as_they_were(name: str, calls: list[dict[str, Any]]) -> None:
    model = dialect(name)
    text = model.calls.write([{"name": "trip", "arguments": one} for one in calls])
    said = spoken(model, [text], asked([TRIP]))
    if any(one["city"].startswith("\n") or one["city"].endswith("\n") for one in calls):
        return  # FunctionGemma and XML have no way to tell of them
    assert [(kind, json.loads(arguments)) for kind, arguments in said] == [
        ("trip", one) for one in calls
    ]


@each
def test_a_call_of_a_history_is_one_that_could_be_forced(name: str) -> None:
    model = dialect(name)
    written = model.calls.write([{"name": "trip", "arguments": {"city": "Kö ln", "days": 2}}])
    text = written.removesuffix("<|call|>")
    assert admits(rules(asked([TRIP, CLOCK], must_call=True), model), text)
    assert not admits(rules(asked([CLOCK], must_call=True), model), text)


HERMES = dialect("hermes", THINK)
CALL = '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>'
OBJECT = Json(schema='{"type": "object", "properties": {"a": {"type": "integer"}}}')
THOUGHT = "<think>\nHm < so. </think>\n\n"


@pytest.mark.parametrize(
    ("one", "tail", "admitted", "refused"),
    [
        pytest.param(
            asked([CLOCK], must_call=True),
            "",
            [CALL, THOUGHT + CALL, f"{CALL}\n{CALL}"],
            ["", "Hi", CALL[1:], THOUGHT, CALL + "x", "a" + CALL],
            id="a call",
        ),
        pytest.param(
            asked([CLOCK], must_call=True, parallel_calls=False),
            "<think>\n\n</think>\n\n",
            [CALL],
            [f"{CALL}\n{CALL}", THOUGHT + CALL],
            id="one call, thought is over",
        ),
        pytest.param(
            asked([CLOCK], must_call=True),
            "<think>\n",
            [f"Hm</think>{CALL}"],
            [CALL, THOUGHT + CALL[:-1]],
            id="thought has begun",
        ),
        pytest.param(
            asked([], form=OBJECT),
            "",
            ['{"a": 1}', THOUGHT + '{"a": 1}'],
            ['{"a": "b"}', "Hi", CALL],
            id="a form",
        ),
        pytest.param(
            asked([CLOCK], form=OBJECT),
            "",
            ['{"a": 1}', CALL, THOUGHT + CALL],
            ['{"a": "b"}', "Hi", CALL + '{"a": 1}'],
            id="a form or a call",
        ),
        pytest.param(
            asked([tool("clock", strict=True)]),
            "",
            ["Hi <tool", CALL, f"One moment.\n{CALL}", THOUGHT + "Hi"],
            ["", CALL.replace("{}", '{"a": 1}'), "Hi <tool_call>", f"{CALL} Hi"],
            id="strict tools",
        ),
    ],
)
def test_the_form_of_an_answer(
    one: ChatInput, tail: str, admitted: list[str], refused: list[str]
) -> None:
    found = rules(one, HERMES, tail)
    for text in admitted:
        assert admits(found, text), text
    for text in refused:
        assert not admits(found, text), text


UNMARKED = [
    '{"name": "clock", "arguments": {}}',
    '\n{\n  "name": "clock",\n  "arguments": {}\n}',
    '```json\n{"name": "clock", "arguments": {}}\n```',
]


@pytest.mark.parametrize("text", UNMARKED)
def test_calls_of_strict_tools_without_their_markers(text: str) -> None:
    one = asked([tool("clock", strict=True), TRIP])
    found = rules(one, HERMES)
    assert admits(found, text)
    assert spoken(HERMES, [text], one) == [("clock", "{}")]
    assert not admits(found, text.replace("{}", '{"a": 1}'))
    assert not admits(found, text.replace("clock", "trip"))
    assert admits(found, THOUGHT + text)
    twice = f"{UNMARKED[0]}\n{UNMARKED[0]}"
    assert admits(found, twice)
    single = asked([tool("clock", strict=True)], parallel_calls=False)
    assert not admits(rules(single, HERMES), twice)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Anna"}',
        '{"name": "clocks", "arguments": {"a": 1}}',
        '```json\n{"a": 1}\n```',
        "{",
    ],
)
def test_other_json_is_content_beside_strict_tools(text: str) -> None:
    one = asked([tool("clock", strict=True)])
    assert admits(rules(one, HERMES), text)
    assert spoken(HERMES, [text], one) == [("content", text)]


def test_an_answer_is_free_where_nothing_is_demanded() -> None:
    for one in (asked([]), asked([CLOCK])):
        assert grammar_of(one, HERMES, "") == AnyText()
    strict = asked([tool("clock", strict=True)])
    assert grammar_of(strict, ModelDialect(GENERIC), "") == AnyText()


def test_strict_tools_of_a_model_whose_calls_have_no_marker() -> None:
    found = rules(asked([tool("clock", strict=True)]), ModelDialect(GENERIC, offered=True))
    assert admits(found, '{"tool_calls": [{"name": "clock", "arguments": {}}]}')
    assert admits(found, "Hi {")
    assert not admits(found, '{"tool_calls": [{"name": "clock", "arguments": {"a": 1}}]}')
    assert not admits(found, "{")


@pytest.mark.parametrize("form", [GENERIC, NATIVE])
def test_a_model_without_a_known_way_must_call_in_the_generic_form(form: Any) -> None:
    found = rules(asked([CLOCK], must_call=True), ModelDialect(form))
    assert admits(found, '{"tool_calls": [{"name": "clock", "arguments": {}}]}')


def test_a_form_without_a_template_is_just_that() -> None:
    one = asked([], form=Choice(texts=["yes", "no"]), prompts=[Text("Well?")])
    found = rules(one, HERMES, "<think>")
    assert admits(found, "yes")
    assert not admits(found, THOUGHT + "yes")


def test_messages_of_gpt_oss() -> None:
    model = dialect("gpt_oss", HARMONY_ANALYSIS)
    thought = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant"
    call = "<|channel|>commentary to=functions.clock <|constrain|>json<|message|>{}"
    content = '<|channel|>final<|message|>{"a": 1}'
    found = rules(asked([CLOCK], must_call=True), model)
    assert admits(found, call)
    assert admits(found, thought + call)
    assert not admits(found, content)
    found = rules(asked([CLOCK], form=OBJECT), model)
    assert admits(found, thought + content)
    assert admits(found, call)
    assert not admits(found, '{"a": 1}')


def test_a_schema_that_cannot_be_kept_is_refused_by_name() -> None:
    parameters = json.dumps({"type": "object", "not": {"required": ["a"]}})
    one = asked([Tool(name="f", parameters=parameters, strict=True)], must_call=True)
    with pytest.raises(InvalidRequest, match="parameters of tool f"):
        grammar_of(one, HERMES, "")
