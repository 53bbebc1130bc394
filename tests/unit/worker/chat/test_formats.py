"""Each family's own way of writing calls, read whole and cut in every place."""

from __future__ import annotations

import json

import pytest

from tests.unit.worker.chat.spoken import (
    CLOCK,
    Spoken,
    asked,
    control_of,
    cuts,
    dialect,
    spoken,
    tool,
)
from worker.chat.dialects.detect import FORMATS
from worker.chat.dialects.dialect import CallFormat
from worker.chat.dialects.harmony import HARMONY_ANALYSIS

WEATHER = tool(
    "weather",
    city="string",
    days={"type": ["integer", "null"]},
    share="number",
    hourly="boolean",
    where={"type": "object"},
    tags={"type": "array"},
    free={},
)
TOOLS = [WEATHER, CLOCK]
PYTHON = (
    '[weather(city="Kö, (ln", days=3, hourly=True, tags=["a]", \'b\'], where={"x": None}), clock()]'
)
PYTHON_CALLS = [
    (
        "weather",
        '{"city": "Kö, (ln", "days": 3, "hourly": true, "tags": ["a]", "b"], "where": {"x": null}}',
    ),
    ("clock", "{}"),
]
V3 = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n"  # noqa: RUF001
    '{"city": "</x>```"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function'  # noqa: RUF001
    "<｜tool▁sep｜>clock\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"  # noqa: RUF001
)
V31 = (
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{"city": "K"}'  # noqa: RUF001
    "<｜tool▁call▁end｜><｜tool▁call▁begin｜>clock<｜tool▁sep｜>{}<｜tool▁call▁end｜>"  # noqa: RUF001
    "<｜tool▁calls▁end｜>"  # noqa: RUF001
)

ANSWERS: list[tuple[str, str, str, Spoken]] = [
    (
        "hermes",
        "without its markers",
        '{"name": "weather", "arguments": {"city": "K"}}\n{"name": "clock", "arguments": {}}',
        [("weather", '{"city": "K"}'), ("clock", "{}")],
    ),
    (
        "hermes",
        "in a code block",
        '```json\n{"name": "weather", "arguments": {"city": "K"}}\n```',
        [("weather", '{"city": "K"}')],
    ),
    (
        "hermes",
        "other JSON",
        '{"name": "Anna", "age": 3}',
        [("content", '{"name": "Anna", "age": 3}')],
    ),
    (
        "hermes",
        "other JSON in a code block",
        '```json\n{"city": "K"}\n```',
        [("content", '```json\n{"city": "K"}\n```')],
    ),
    (
        "qwen3_coder",
        "two calls",
        "So:\n\n<tool_call>\n<function=weather>\n<parameter=city>\nKöln\n <b>\n</parameter>\n"
        "<parameter=days>\n3.0\n</parameter>\n<parameter=hourly>\nTrue\n</parameter>\n"
        '<parameter=where>\n{"a": 1}\n</parameter>\n</function>\n</tool_call>\n'
        "<tool_call>\n<function=clock>\n</function>\n</tool_call>",
        [
            ("content", "So:"),
            ("weather", '{"city": "Köln\\n <b>", "days": 3, "hourly": true, "where": {"a": 1}}'),
            ("clock", "{}"),
        ],
    ),
    (
        "qwen3_coder",
        "texts that look like numbers, and what cannot be cast",
        "<tool_call><function=weather><parameter=city>42</parameter><parameter=days>many"
        "</parameter><parameter=free>7</parameter><parameter=share>140.0</parameter></function>",
        [("weather", '{"city": "42", "days": "many", "free": 7, "share": 140.0}')],
    ),
    (
        "qwen3_coder",
        "forgotten ends",
        "<tool_call>\n<function=weather>\n<parameter=city>\nKöln\n<parameter=days>\n1\n</function>",
        [("weather", '{"city": "Köln", "days": 1}')],
    ),
    (
        "qwen3_coder",
        "JSON in its place",
        '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>',
        [("clock", "{}")],
    ),
    ("qwen3_coder", "an unknown tool", "<function=x>", [("content", "<function=x>")]),
    (
        "minicpm5",
        "two calls",
        '<function name="weather"><param name="city"><![CDATA[a </param> b]]></param>'
        '<param name="days">null</param></function>\n<function name="clock"></function>',
        [("weather", '{"city": "a </param> b", "days": null}'), ("clock", "{}")],
    ),
    (
        "llama3",
        "one call",
        '{"name": "weather", "parameters": {"city": "K"}}',
        [("weather", '{"city": "K"}')],
    ),
    (
        "llama3",
        "several",
        '<|python_tag|>{"name": "clock", "parameters": {}}; {"name": "clock", "parameters": {}}',
        [("clock", "{}"), ("clock", "{}")],
    ),
    ("llama3", "other JSON", '{"name": "Anna"}', [("content", '{"name": "Anna"}')]),
    ("llama3", "JSON", '{"age": {"name": "clock"}}', [("content", '{"age": {"name": "clock"}}')]),
    ("pythonic", "two calls", PYTHON, PYTHON_CALLS),
    ("pythonic", "a list", "[1, 2](a)", [("content", "[1, 2](a)")]),
    ("pythonic", "an unknown tool", "[f(x=1)]", [("content", "[f(x=1)]")]),
    (
        "pythonic",
        "in markers",
        "Yes <|python_start|>[clock()]<|python_end|>",
        [("content", "Yes"), ("clock", "{}")],
    ),
    (
        "pythonic",
        "escapes",
        "[weather(city='it\\'s \"x\"\\n', days=-1)]",
        [("weather", '{"city": "it\'s \\"x\\"\\n", "days": -1}')],
    ),
    (
        "olmo3",
        "a call on each line",
        f"<function_calls>\n{PYTHON[1:-10]}\nclock()\n</function_calls>",
        PYTHON_CALLS,
    ),
    ("lfm2", "Python", f"<|tool_call_start|>{PYTHON}<|tool_call_end|>I call it.", PYTHON_CALLS),
    (
        "lfm2",
        "JSON",
        'Hm <|tool_call_start|>[{"name": "clock", "arguments": {}}]<|tool_call_end|>',
        [("content", "Hm"), ("clock", "{}")],
    ),
    (
        "mistral",
        "a list",
        '[TOOL_CALLS] [{"name": "clock", "arguments": {}}, {"name": "clock"}]',
        [("clock", "{}"), ("clock", "{}")],
    ),
    (
        "mistral_args",
        "names",
        'a [TOOL_CALLS]weather[CALL_ID]123456789[ARGS]{"city": "["}[TOOL_CALLS]clock[ARGS]{}',
        [("content", "a"), ("weather", '{"city": "["}'), ("clock", "{}")],
    ),
    (
        "phi4_mini",
        "a list with lists",
        'functools[{"name": "weather", "arguments": {"tags": ["a]", [1]]}}]',
        [("weather", '{"tags": ["a]", [1]]}')],
    ),
    (
        "phi4_mini",
        "in tags",
        '<|tool_call|>[{"name": "clock", "arguments": {}}]<|/tool_call|>',
        [("clock", "{}")],
    ),
    ("phi4_mini", "a word", "import functools", [("content", "import functools")]),
    (
        "granite4",
        "a call",
        '<tool_call>{"name": "clock", "arguments": {}}</tool_call>',
        [("clock", "{}")],
    ),
    (
        "smollm3",
        "a call",
        '<tool_call>{"name": "clock", "arguments": {}}</tool_call>',
        [("clock", "{}")],
    ),
    (
        "functiongemma",
        "texts in marks",
        "<start_function_call>call:weather{city:<escape>Kö, }ln<escape>,days:<escape>3<escape>,"
        "hourly:true}<end_function_call><start_function_call>call:clock{}<end_function_call>",
        [("weather", '{"city": "Kö, }ln", "days": 3, "hourly": true}'), ("clock", "{}")],
    ),
    (
        "gemma4",
        "nested values",
        '<|tool_call>call:weather{city:<|"|>K<|"|>,where:{a:[1,<|"|>x, ]<|"|>],b:null},'
        "share:1.5}<tool_call|>",
        [("weather", '{"city": "K", "where": {"a": [1, "x, ]"], "b": null}, "share": 1.5}')],
    ),
    (
        "gemma4",
        "a text without marks",
        "<|tool_call>call:weather{city:ab}",
        [("weather", '{"city": "ab"}')],
    ),
    ("deepseek_v3", "two calls", V3, [("weather", '{"city": "</x>```"}'), ("clock", "{}")]),
    ("deepseek_v3_1", "two calls", V31, [("weather", '{"city": "K"}'), ("clock", "{}")]),
    ("deepseek_v3_1", "those of V3", V3, [("weather", '{"city": "</x>```"}'), ("clock", "{}")]),
    (
        "gpt_oss",
        "reasoning, preamble and call",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary"
        "<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.weather "
        '<|constrain|>json<|message|>{"city": "<|end|>"}<|call|>',
        [("thought", "Hm."), ("content", "I look."), ("weather", '{"city": "<|end|>"}')],
    ),
    (
        "gpt_oss",
        "the recipient first",
        "<|start|>assistant to=functions.clock<|channel|>commentary json<|message|>{}",
        [("clock", "{}")],
    ),
    (
        "gpt_oss",
        "reasoning and answer",
        "<|channel|>analysis<|message|>Hm.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Yes. ",
        [("thought", "Hm."), ("content", "Yes. ")],
    ),
    ("gpt_oss", "an unknown tool", "to=functions.x<|message|>{}", [("content", "{}")]),
    ("gpt_oss", "no header", "Hi <there>", [("content", "Hi <there>")]),
]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [pytest.param(name, text, said, id=f"{name}: {what}") for name, what, text, said in ANSWERS],
)
def test_what_a_family_writes(name: str, text: str, expected: Spoken) -> None:
    model = dialect(name, HARMONY_ANALYSIS if name == "gpt_oss" else None)
    one = asked(TOOLS)
    for pieces in cuts(text):
        assert spoken(model, pieces, one) == expected, pieces
        if not any(marker in said for _, said in expected for marker in model.calls.markers):
            assert spoken(model, pieces, one, control=control_of(name)) == expected, pieces


@pytest.mark.parametrize("form", FORMATS, ids=[form.name for form in FORMATS])
def test_a_family_reads_what_is_written_of_its_calls_in_a_history(form: CallFormat) -> None:
    model = dialect(form.name)
    arguments = {"city": "Kö ln", "days": 2, "tags": ["a", 1], "where": {"x": None}}
    text = model.calls.write(
        [{"name": "weather", "arguments": arguments}, {"name": "clock", "arguments": {}}]
    )
    said = spoken(model, [text], asked(TOOLS))
    assert [name for name, _ in said] == ["weather", "clock"]
    assert json.loads(said[0][1]) == arguments
    assert said[1][1] == "{}"


@pytest.mark.parametrize("form", FORMATS, ids=[form.name for form in FORMATS])
def test_every_answer_of_a_family_may_be_cut_off_anywhere(form: CallFormat) -> None:
    """Nothing of a call that must come is content, and what is known of its arguments stays."""
    name = form.name
    model = dialect(name)
    text = model.calls.write([{"name": "weather", "arguments": {"city": "Kö", "days": 2}}])
    one = asked(TOOLS, must_call=True)
    whole = spoken(model, [text], one)
    for at in range(1, len(text)):
        said = spoken(model, [text[:at]], one, cut=True)
        kinds = [kind for kind, _ in said]
        assert kinds in ([], ["weather"]) or at < 2, text[:at]
        if kinds == ["weather"]:
            assert whole[0][1].startswith(said[0][1])
