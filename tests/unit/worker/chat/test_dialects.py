"""Calls and results of a history reach every model, in its template's words or as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from worker.chat.dialects.detect import dialect_of
from worker.chat.dialects.dialect import CallFormat
from worker.chat.dialects.generic import GENERIC as FORM
from worker.chat.dialects.generic import NATIVE
from worker.chat.dialects.model_dialect import ModelDialect, TemplateCan
from worker.chat.template import Template

GENERIC = ModelDialect(FORM)

CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": {"in": "Köln"}}}


def call(content: str = "") -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": [CALL]}


def result(content: str, name: str | None = "weather") -> dict[str, Any]:
    return {"role": "tool", "content": content, "tool_call_id": "c", "name": name}


def test_a_history_without_calls_is_left_as_it_is() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    assert GENERIC.history(turns).turns == turns


def test_a_call_and_its_result_become_text() -> None:
    turns = [{"role": "user", "content": "hi"}, call(), result("18 degrees")]
    assert GENERIC.history(turns).turns == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": '{"tool_calls": [{"name": "weather", "arguments": {"in": "Köln"}}]}',
        },
        {
            "role": "user",
            "content": '{"tool_response": {"name": "weather", "content": "18 degrees"}}',
        },
    ]


def test_text_before_a_call_stays_before_it() -> None:
    (turn,) = GENERIC.history([call("One moment.")]).turns
    assert turn["content"].startswith('One moment.\n{"tool_calls"')


def test_results_and_what_the_user_says_next_are_one_turn() -> None:
    turns = [call(), result("a"), result("b", None), {"role": "user", "content": "and now?"}]
    assert [turn["role"] for turn in GENERIC.history(turns).turns] == ["assistant", "user"]
    assert GENERIC.history(turns).turns[1]["content"].splitlines() == [
        '{"tool_response": {"name": "weather", "content": "a"}}',
        '{"tool_response": {"name": "weather", "content": "b"}}',
        "and now?",
    ]
    again = [*turns, {"role": "user", "content": "well?"}]
    assert [turn["role"] for turn in GENERIC.history(again).turns] == ["assistant", "user", "user"]


def test_an_image_after_a_result_stays_an_image() -> None:
    picture = [{"type": "image", "image": "pixels"}]
    turns = GENERIC.history([result("a"), {"role": "user", "content": picture}]).turns
    assert [part["type"] for part in turns[0]["content"]] == ["text", "image"]


@pytest.mark.parametrize(
    ("writes", "form"),
    [
        (str, NATIVE),
        (lambda turns: str([one for one in turns if one["role"] == "tool"]), FORM),
        (lambda turns: str([one | {"content": ""} for one in turns]), FORM),
        (lambda _turns: "", FORM),
    ],
)
def test_a_template_shows_calls_if_none_of_them_is_lost(
    writes: Callable[[Any], str], form: CallFormat
) -> None:
    def render(turns: Any, tools: Any = (), arguments: Any = None) -> str:  # noqa: ARG001
        return writes(turns)

    assert dialect_of(render).calls is form


def test_a_template_that_writes_calls_is_given_the_history_as_it_is() -> None:
    turns = [{"role": "user", "content": "hi"}, call(), result("18 degrees")]
    dialect = ModelDialect(NATIVE, TemplateCan(calls=True, results=True))
    assert dialect.history(turns).turns == turns


def test_a_result_has_the_name_of_its_tool() -> None:
    dialect = ModelDialect(NATIVE, TemplateCan(calls=True, results=True))
    (_, turn) = dialect.history([call(), result("18 degrees", None)]).turns
    assert turn["name"] == "weather"


SMOLLM2 = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
)
QWEN = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>\n{{ call.function | tojson }}"
    "\n</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
)
STRICT = (
    "{% for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant') }}{% endif %}"
    "[{{ message.role }}] {{ message.content }}\n{% endfor %}"
)
HISTORY = [
    {"role": "user", "content": "hi"},
    call(),
    result("18 degrees"),
    {"role": "user", "content": "thanks"},
]


def test_a_template_that_writes_calls_gets_them() -> None:
    rendered = Template(QWEN, {}).render(HISTORY)
    written = '<tool_call>\n{"name": "weather", "arguments": {"in": "Köln"}}\n</tool_call>'
    assert written in rendered
    assert "<|im_start|>tool\n18 degrees<|im_end|>" in rendered


def test_a_template_that_would_leave_calls_out_gets_them_as_text() -> None:
    rendered = Template(SMOLLM2, {}).render(HISTORY)
    assert '<|im_start|>assistant\n{"tool_calls": [{"name": "weather"' in rendered
    assert '<|im_start|>user\n{"tool_response": {"name": "weather"' in rendered


def test_a_template_whose_roles_must_alternate_takes_a_history_of_calls() -> None:
    rendered = Template(STRICT, {}).render(HISTORY)
    assert [line[:6] for line in rendered.splitlines()] == ["[user]", "[assis", "[user]", "thanks"]
