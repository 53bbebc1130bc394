"""The dialect of a model is found by its template. These are small ones, with the marks of real
ones: what they write of tools, of calls and of results."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import pytest

from ipc.engine_options import Dialect
from worker.chat.dialects.detect import FORMATS
from worker.chat.dialects.model_dialect import TemplateCan
from worker.chat.template import Template

ALL = TemplateCan(tools=True, calls=True, results=True)


class Family(NamedTuple):
    """What a template writes of ``tools``, of a ``call`` whose function is ``f``, and of a
    ``result``."""

    name: str
    tools: str
    call: str
    result: str
    can: TemplateCan = ALL


NAMED_ARGUMENTS = "{% for k, v in f.arguments | items %}"
FAMILIES = [
    Family(
        "hermes",
        "<tools>{{ tools | tojson }}</tools>",
        '<tool_call>\n{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}}\n'
        "</tool_call>",
        "<tool_response>\n{{ m.content }}\n</tool_response>",
    ),
    Family(
        "qwen3_coder",
        "<tools>{{ tools | tojson }}</tools>",
        f"<tool_call>\n<function={{{{ f.name }}}}>\n{NAMED_ARGUMENTS}<parameter={{{{ k }}}}>\n"
        "{{ v }}\n</parameter>\n{% endfor %}</function>\n</tool_call>",
        "<tool_response>\n{{ m.content }}\n</tool_response>",
    ),
    Family(
        "llama3",
        "{{ tools | tojson }}",
        '{"name": "{{ f.name }}", "parameters": {{ f.arguments | tojson }}}',
        "{{ m.content | tojson }}",
    ),
    Family(
        "pythonic",
        "[func_name1(params_name1=params_value1)] {{ tools | tojson }}",
        "",
        "{{ m.content }}",
        ALL._replace(calls=False),
    ),
    Family(
        "olmo3",
        "<functions>{{ tools | tojson }}</functions>",
        f"<function_calls>{{{{ f.name }}}}({NAMED_ARGUMENTS}{{{{ k }}}}={{{{ v | tojson }}}}"
        "{% endfor %})</function_calls>",
        "{{ m.content }}",
    ),
    Family(
        "mistral",
        "[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]",
        "{% if c.id | length != 9 %}{{ raise_exception('ids must have 9 characters') }}{% endif %}"
        '[TOOL_CALLS] [{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}}]',
        "[TOOL_RESULTS]{{ m.content }}[/TOOL_RESULTS]",
    ),
    Family(
        "mistral_args",
        "[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]",
        "[TOOL_CALLS]{{ f.name }}[ARGS]{{ f.arguments | tojson }}",
        "[TOOL_RESULTS]{{ m.content }}[/TOOL_RESULTS]",
    ),
    Family(
        "phi4_mini",
        "<|tool|>{{ tools | tojson }}<|/tool|>",
        "",
        "<|tool|>{{ m.content }}<|end|>",
        ALL._replace(calls=False),
    ),
    Family(
        "functiongemma",
        "<start_function_declaration>{{ tools | tojson }}<end_function_declaration>",
        f"<start_function_call>call:{{{{ f.name + '{{' }}}}{NAMED_ARGUMENTS}{{{{ k }}}}:<escape>"
        "{{ v }}<escape>{% endfor %}}<end_function_call>",
        "<start_function_response>response:{{ m.name }}{value:{{ m.content }}}",
    ),
    Family(
        "gemma4",
        "<|tool>{{ tools | tojson }}<tool|>",
        f"<|tool_call>call:{{{{ f.name + '{{' }}}}{NAMED_ARGUMENTS}"
        '{{ k }}:<|"|>{{ v }}<|"|>'
        "{% endfor %}}<tool_call|>",
        "<|tool_response>response:{{ m.name }}{value:{{ m.content }}}<tool_response|>",
    ),
    Family(
        "lfm2",
        "<|tool_list_start|>{{ tools | tojson }}<|tool_list_end|>",
        "",
        "<|tool_response_start|>{{ m.content }}<|tool_response_end|>",
        ALL._replace(calls=False),
    ),
    Family(
        "deepseek_v3",
        "",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{{ c.type + '<｜tool▁sep｜>' + f.name + '\n"  # noqa: RUF001
        "```json\n' + f.arguments + '\n```' }}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",  # noqa: RUF001
        "<｜tool▁output▁begin｜>{{ m.content }}<｜tool▁output▁end｜>",  # noqa: RUF001
        TemplateCan(calls=True, results=True, text_arguments=True),
    ),
    Family(
        "deepseek_v3_1",
        "{{ tools | tojson }}",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{{ f.name + '<｜tool▁sep｜>' + f.arguments }}"  # noqa: RUF001
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",  # noqa: RUF001
        "<｜tool▁output▁begin｜>{{ m.content }}<｜tool▁output▁end｜>",  # noqa: RUF001
        ALL._replace(text_arguments=True),
    ),
    Family(
        "gpt_oss",
        "namespace functions { {{ tools | tojson }} }",
        "<|start|>assistant to=functions.{{ f.name }}<|channel|>commentary json<|message|>"
        "{{ f.arguments | tojson }}<|call|>",
        "<|start|>functions.{{ m.name }} to=assistant<|channel|>commentary<|message|>"
        "{{ m.content }}<|end|>",
    ),
    Family(
        "minicpm5",
        "{{ tools | tojson }}",
        f'<function name="{{{{ f.name }}}}">{NAMED_ARGUMENTS}<param name="{{{{ k }}}}">'
        "{{ v }}</param>{% endfor %}</function>",
        "{{ m.content }}",
    ),
    Family("generic", "", "", "", TemplateCan()),
    Family(
        "native",
        "{{ tools | tojson }}",
        "!{{ f.name }}!{{ f.arguments | tojson }}",
        "{{ m.content }}",
    ),
]


def template(family: Family) -> str:
    """A template that writes what ``family`` says, and turns of users and assistants."""
    return (
        f"{{% if tools %}}{family.tools}{{% endif %}}"
        "{% for m in messages %}{% if m.role == 'tool' %}"
        f"{family.result}{{% else %}}[{{{{ m.role }}}}]{{{{ m.content }}}}"
        f"{{% for c in m.tool_calls or [] %}}{{% set f = c.function %}}{family.call}{{% endfor %}}"
        "{% endif %}\n{% endfor %}"
    )


ids = pytest.mark.parametrize("family", FAMILIES, ids=[one.name for one in FAMILIES])


@ids
def test_a_template_shows_its_dialect(family: Family) -> None:
    found = Template(template(family), {}).dialect
    assert found.name == family.name
    assert found.template == family.can
    assert found.calls_tools == (family.name not in ("generic", "native"))


FUNCTION = {"name": "weather", "arguments": {"in": "Köln"}}
CALL = {"id": "call_abc", "type": "function", "function": FUNCTION}
HISTORY: list[dict[str, Any]] = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "One moment.", "tool_calls": [CALL]},
    {"role": "tool", "content": "18 degrees", "tool_call_id": "call_abc"},
    {"role": "user", "content": "thanks"},
]


@ids
def test_a_history_loses_nothing(family: Family) -> None:
    rendered = Template(template(family), {}).render(HISTORY)
    for text in ("hi", "One moment.", "weather", "Köln", "18 degrees", "thanks"):
        assert text in rendered, text
    found = Template(template(family), {}).dialect
    if found.calls_tools and not found.template.calls:
        assert found.calls.write([FUNCTION]) in rendered


TOOL = {"type": "function", "function": {"name": "clock", "description": "What time it is"}}


@ids
def test_tools_are_told_of_by_the_template_where_it_can(family: Family) -> None:
    one = Template(template(family), {})
    offered = one.render(HISTORY[:1], [TOOL])
    assert ("What time it is" in offered) == (family.name != "generic")
    must = one.render(HISTORY[:1], [TOOL], must_call=True)
    assert "What time it is" in must


def test_a_dialect_may_be_chosen() -> None:
    one = Template(template(FAMILIES[-2]), {})
    one.use_dialect("hermes")
    rendered = one.render(HISTORY, [TOOL])
    assert one.dialect.calls_tools
    assert "What time it is" in rendered
    assert '<tool_call>\n{"name": "weather"' in rendered
    one.use_dialect("generic")
    assert not one.dialect.calls_tools
    assert '{"tool_calls": [{"name": "NAME"' in one.render(HISTORY, [TOOL])


def test_every_dialect_has_its_name_in_the_catalog() -> None:
    assert {form.name for form in FORMATS} == {*get_args(Dialect)} - {"auto"}


def test_tools_under_another_name() -> None:
    source = (
        "{% if xml_tools is defined %}{% for t in xml_tools %}{{ t | string }}{% endfor %}"
        "<tool_call>{% endif %}"
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}</think>"
    )
    one = Template(source, {})
    assert one.dialect.name == "smollm3"
    assert one.dialect.thinking is not None
    assert "'name': 'clock'" in one.render(HISTORY[:1], [TOOL])
    assert "<tool_call>" not in one.render(HISTORY[:1])


@pytest.mark.parametrize(
    ("source", "opens"),
    [
        ("{{ messages[0].content }}", None),
        ("{{ messages[0].content.split('</think>')[-1] }}", "<think>"),
        ("{{ '</seed:think>' }}", "<seed:think>"),
        ("{{ '<|channel>thought' }}", "<|channel>thought\n"),
        ("{{ '<|channel|>analysis<|message|>' }}", "<|channel|>analysis<|message|>"),
        ("{{ '[THINK]a[/THINK]' }}", "[THINK]"),
    ],
)
def test_a_template_shows_how_its_model_reasons(source: str, opens: str | None) -> None:
    found = Template(source, {}).dialect.thinking
    assert (found and found.opens) == opens


def test_ids_are_short_where_a_template_demands_it() -> None:
    mistral = next(one for one in FAMILIES if one.name == "mistral")
    assert "weather" in Template(template(mistral), {}).render(HISTORY)


@pytest.mark.parametrize(
    "words", ["System role not supported", "Conversation roles must alternate user/assistant"]
)
def test_a_template_that_refuses_roles_is_asked_once_more(words: str) -> None:
    source = (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        f"{{{{ raise_exception('{words}') }}}}{{% endif %}}{{{{ m.role }}}}: {{{{ m.content }}}}\n"
        "{% endfor %}"
    )
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": "there"},
    ]
    assert Template(source, {}).render(turns) == "user: Be kind.\nHi\nthere\n"
