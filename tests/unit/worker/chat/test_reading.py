"""Content, reasoning and calls are told apart, and alike however the text is cut."""

from __future__ import annotations

import pytest

from ipc.messages.jobs import Tool
from tests.unit.worker.chat.spoken import (
    CLOCK,
    THINK,
    TOOLS,
    Spoken,
    asked,
    cuts,
    dialect,
    spoken,
    tool,
)
from worker.chat.dialects.generic import GENERIC
from worker.chat.dialects.model_dialect import ModelDialect
from worker.chat.parser import Opened, PlainText

HERMES = dialect("hermes", THINK)
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Köln", "days": 2}}\n</tool_call>'
CALLED = ("weather", '{"city": "Köln", "days": 2}')
CLOCKED = '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>'

ANSWERS: dict[str, tuple[str, Spoken]] = {
    "nothing": ("", []),
    "content": ("Hi < there </b>\n", [("content", "Hi < there </b>\n")]),
    "content that begins with space": ("\n Hi", [("content", "\n Hi")]),
    "a call": (CALL, [CALLED]),
    "space around a call": (f"\n{CALL}\n", [CALLED]),
    "content before a call": (f"One moment.\n\n{CALL}", [("content", "One moment."), CALLED]),
    "two calls": (f"{CALL}\n{CLOCKED}", [CALLED, ("clock", "{}")]),
    "content after a call": (f"{CALL}\nDone. ", [CALLED, ("content", "Done. ")]),
    "the tag in a string": (
        '<tool_call>{"name": "weather", "arguments": {"city": "</tool_call> {\\"\\\\"}}'
        "</tool_call>",
        [("weather", '{"city": "</tool_call> {\\"\\\\"}')],
    ),
    "no arguments": ('<tool_call>{"name": "clock"}</tool_call>', [("clock", "{}")]),
    "null arguments": ('<tool_call>{"name": "clock", "arguments": null}', [("clock", "{}")]),
    "arguments in a string": (
        '<tool_call>{"name": "clock", "arguments": "{\\"a\\": 1}"}</tool_call>',
        [("clock", '{"a": 1}')],
    ),
    "arguments before the name": (
        '<tool_call>{"arguments": {"a": [1]}, "name": "clock"}</tool_call>',
        [("clock", '{"a": [1]}')],
    ),
    "other keys": (
        '<tool_call>{"id": 7, "name": "clock", "x": [1], "arguments": {}, "y": {}}</tool_call>',
        [("clock", "{}")],
    ),
    "without its end": ('<tool_call>\n{"name": "clock", "arguments": {}}', [("clock", "{}")]),
    "without its brace": (
        '<tool_call>{"name": "clock", "arguments": {}</tool_call>ok',
        [("clock", "{}"), ("content", "ok")],
    ),
    "an unknown tool": (
        '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
        [("content", '<tool_call>{"name": "other", "arguments": {}}</tool_call>')],
    ),
    "a tag in prose": (
        "Write <tool_call> first.",
        [("content", "Write <tool_call> first.")],
    ),
    "half a call": ('<tool_call>{"name": "wea', [("content", '<tool_call>{"name": "wea')]),
    "a call after half a one": (f"<tool_call> oh {CALL}", [("content", "<tool_call> oh"), CALLED]),
    "reasoning": ("<think>\nHm.\n\n</think>\n\nYes.", [("thought", "Hm."), ("content", "Yes.")]),
    "empty reasoning": ("<think>\n\n</think>\n\nYes.", [("content", "Yes.")]),
    "reasoning and a call": (f"<think>Hm.</think>\n\n{CALL}", [("thought", "Hm."), CALLED]),
    "reasoning without end": ("<think>\nHm. ", [("thought", "Hm. ")]),
    "a tag of reasoning in prose": ("a <think> b", [("content", "a <think> b")]),
    "a tag of calls in reasoning": (
        "<think>I use <tool_call> now.</think>Yes",
        [("thought", "I use <tool_call> now."), ("content", "Yes")],
    ),
    "a call in reasoning": (
        f"<think>So {CALL} it is.</think>Yes",
        [("thought", f"So {CALL} it is."), ("content", "Yes")],
    ),
    "a call in reasoning before its end": (
        f"<think>So {CALL}</think>Yes",
        [("thought", f"So {CALL}"), ("content", "Yes")],
    ),
    "a call that ends reasoning": (
        f"<think>So {CALL}\n{CLOCKED}\n",
        [("thought", "So"), CALLED, ("clock", "{}")],
    ),
    "half a call that ends reasoning": (
        "<think>So <tool_call>{",
        [("thought", "So <tool_call>{")],
    ),
}


@pytest.mark.parametrize(("text", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_says_the_same_however_it_is_cut(text: str, expected: Spoken) -> None:
    for pieces in cuts(text):
        assert spoken(HERMES, pieces) == expected, pieces


CUT_OFF: dict[str, tuple[str, Spoken]] = {
    "in the tag": ("Hi <tool_c", [("content", "Hi ")]),
    "at what may be anything": ("1 <", [("content", "1 <")]),
    "before the name": ('Hi <tool_call>{"na', [("content", "Hi")]),
    "in the name": ('<tool_call>{"name": "wea', []),
    "in the arguments": (
        '<tool_call>{"name": "weather", "arguments": {"city": "K',
        [("weather", '{"city": "K')],
    ),
    "in the end tag": (f"{CALL[:-5]}", [CALLED]),
    "in the second call": (f"{CALL}\n<tool_call>\n{{", [CALLED]),
    "in reasoning": ("<think>Hm", [("thought", "Hm")]),
    "in the end of reasoning": ("<think>Hm</thi", [("thought", "Hm")]),
}


@pytest.mark.parametrize(("text", "expected"), CUT_OFF.values(), ids=CUT_OFF)
def test_an_answer_that_is_cut_off(text: str, expected: Spoken) -> None:
    for pieces in cuts(text):
        assert spoken(HERMES, pieces, cut=True) == expected, pieces


def test_the_first_call_is_the_last_where_there_must_be_one() -> None:
    one = asked(parallel_calls=False)
    for pieces in cuts(f"{CALL}\n{CLOCKED} and"):
        assert spoken(HERMES, pieces, one) == [CALLED]
    assert spoken(HERMES, [f"<think>{CALL}{CLOCKED}"], one) == [CALLED]


def test_an_answer_is_over_once_nothing_of_it_can_follow() -> None:
    parser = HERMES.parser(asked(parallel_calls=False), "")
    parser.push(CALL)
    assert parser.over


def test_nothing_is_a_call_where_no_tool_is_offered() -> None:
    assert spoken(HERMES, [CALL], asked([])) == [("content", CALL)]


def test_a_model_that_marks_nothing_is_not_parsed() -> None:
    assert isinstance(dialect("hermes").parser(asked([]), ""), PlainText)
    assert isinstance(ModelDialect(GENERIC).parser(asked(), ""), PlainText)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("assistant\n<think>\n", [("thought", "Hm."), ("content", "Yes.")]),
        ("assistant\n<think>", [("thought", "Hm."), ("content", "Yes.")]),
        ("assistant\n<think>\n\n</think>\n\n", [("content", "Hm.\n</think>\n\nYes.")]),
        ("user\nWhat is <think>?\nassistant\n", [("content", "Hm.\n</think>\n\nYes.")]),
    ],
)
def test_the_end_of_the_prompt_says_where_an_answer_begins(tail: str, expected: Spoken) -> None:
    for pieces in cuts("Hm.\n</think>\n\nYes."):
        assert spoken(HERMES, pieces, tail=tail) == expected


def test_an_answer_that_is_continued_may_begin_inside_of_reasoning() -> None:
    one = asked(continues_last=True)
    expected = [("thought", "m."), ("content", "Yes.")]
    assert spoken(HERMES, ["m.</think>Yes."], one, tail="<think>\nH") == expected


@pytest.mark.parametrize("text", ["<think>\nHm.\n</think>\n\nYes.", "<think> Hm", "a <think>"])
def test_reasoning_that_is_not_split_off_is_content_as_it_is_written(text: str) -> None:
    one = asked(split_reasoning=False)
    for pieces in cuts(text):
        assert spoken(HERMES, pieces, one) == [("content", text)]


def test_a_call_after_reasoning_that_is_not_split_off() -> None:
    one = asked(split_reasoning=False)
    text = "<think>\nHm.\n</think>"
    assert spoken(HERMES, [f"{text}\n\n{CALL}"], one) == [("content", text), CALLED]


def test_control_tokens_are_never_content() -> None:
    control = ["<tool_call>", "</tool_call>", "<other>"]
    parser = HERMES.parser(asked(), "", control)
    assert parser.preserved == {"<tool_call>", "</tool_call>"}
    assert spoken(HERMES, ["a <tool_call> b</tool_call> c"], control=control) == [
        ("content", "a  b c")
    ]


def test_each_call_has_an_id_of_its_own() -> None:
    parser = HERMES.parser(asked(), "")
    said = [*parser.push(CALL + CALL), *parser.finish()]
    ids = {one.id for one in said if isinstance(one, Opened)}
    assert len(ids) == 2
    assert all(len(one) == 29 and one.startswith("call_") for one in ids)


FORM = ModelDialect(GENERIC, offered=True)
GENERIC_ANSWERS: dict[str, tuple[str, Spoken]] = {
    "content": ("Hi {", [("content", "Hi {")]),
    "a call": (
        ' {"tool_calls": [{"name": "clock", "arguments": {}}]}\n',
        [("clock", "{}")],
    ),
    "two calls": (
        '{"tool_calls":[{"name":"clock","arguments":{}},\n{"name":"clock"}]}',
        [("clock", "{}"), ("clock", "{}")],
    ),
    "another object": ('{"tools": 1}', [("content", '{"tools": 1}')]),
    "an unknown tool": (
        '{"tool_calls": [{"name": "x"}]}',
        [("content", '{"tool_calls": [{"name": "x"}]}')],
    ),
    "no calls": ('{"tool_calls": []}', [("content", '{"tool_calls": []}')]),
    "a call later": (
        'So {"tool_calls": [{"name": "clock"}]}',
        [("content", 'So {"tool_calls": [{"name": "clock"}]}')],
    ),
}


@pytest.mark.parametrize(("text", "expected"), GENERIC_ANSWERS.values(), ids=GENERIC_ANSWERS)
def test_the_generic_form(text: str, expected: Spoken) -> None:
    for pieces in cuts(text):
        assert spoken(FORM, pieces) == expected, pieces


def test_the_generic_form_is_read_where_a_tool_must_be_called() -> None:
    one = asked(must_call=True)
    text = '{"tool_calls": [{"name": "clock", "arguments": {}}]}'
    assert spoken(ModelDialect(GENERIC), [text], one) == [("clock", "{}")]
    assert spoken(ModelDialect(GENERIC), [text[:12]], one, cut=True) == []


@pytest.mark.parametrize("model", [HERMES, FORM])
def test_names_are_those_of_the_tools_and_nothing_else(model: ModelDialect) -> None:
    tools: list[Tool] = [tool("a-b_1"), CLOCK, *TOOLS]
    text = model.calls.write([{"name": "a-b_1", "arguments": {"x": "é"}}])
    assert spoken(model, [text], asked(tools)) == [("a-b_1", '{"x": "é"}')]
