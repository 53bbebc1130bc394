"""Calls as XML: those of Qwen3-Coder, which Qwen 3.5 has too, and those of MiniCPM5. Values are
texts without quotes, read by the schema of the tool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ipc.grammar.expressions import either, optional
from ipc.grammar.rules import Expression
from worker.chat.dialects.dialect import CallFormat, Turn
from worker.chat.dialects.json_calls import call_object
from worker.chat.dialects.values import Members, Schema, is_text, json_of, members_of, text_rules
from worker.chat.parsing.says import Says
from worker.chat.parsing.source import Malformed, Source, Steps
from worker.chat.rule_book import RuleBook, Signature, separated, sequence

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_FUNCTION, _FUNCTION_END = "<function=", "</function>"
_PARAMETER, _PARAMETER_END = "<parameter=", "</parameter>"


def _read(source: Source, says: Says, marker: str) -> Steps[None]:
    if marker == _OPEN:
        yield from source.spaces()
        if (yield from source.char()) == "{":  # some have learned both forms
            yield from call_object(source, says)
            yield from source.closing(_CLOSE)
            return
        yield from source.expect(_FUNCTION)
    yield from _function(source, says)
    while (yield from source.comes(_FUNCTION)):
        yield from source.expect(_FUNCTION)
        yield from _function(source, says)
    yield from source.closing(_CLOSE)


def _function(source: Source, says: Says) -> Steps[None]:
    name, _ = yield from source.upto(">")
    says.opened(name.strip().strip('"'))
    members = Members(says)
    while True:
        yield from source.spaces()
        found = yield from source.expect(_PARAMETER, _FUNCTION_END, _CLOSE)
        if found != _PARAMETER:
            break
        key, _ = yield from source.upto(">")
        key = key.strip().strip('"')
        text, end = yield from source.upto(_PARAMETER_END, _PARAMETER, _FUNCTION_END)
        if end != _PARAMETER_END:  # it was forgotten
            source.at -= len(end)
        members.tell(key, json_of(_unframed(text), members.schema(key)))
    members.close()


def _unframed(text: str) -> str:
    """A value less the line breaks that the form puts around it."""
    return text.removeprefix("\n").removesuffix("\n")


def _rules(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    call = either([_call_rules(book, tool) for tool in tools])
    return separated(call, "\n", several=several)


def _call_rules(book: RuleBook, tool: Signature) -> Expression:
    members: list[Expression] = []
    for key, schema, needed in members_of(tool):
        value = (
            text_rules(book, tool, schema, _PARAMETER_END, _PARAMETER, _FUNCTION_END)
            if is_text(schema)
            else book.value(tool, schema)
        )
        member = sequence(f"{_PARAMETER}{key}>\n", value, f"\n{_PARAMETER_END}\n")
        members.append(member if needed else optional(member))
    return sequence(f"{_OPEN}\n{_FUNCTION}{tool.name}>\n", *members, f"{_FUNCTION_END}\n{_CLOSE}")


def _write(functions: Sequence[Turn]) -> str:
    return "\n".join(_written(one) for one in functions)


def _written(function: Turn) -> str:
    members = "".join(
        f"{_PARAMETER}{key}>\n{as_text(value)}\n{_PARAMETER_END}\n"
        for key, value in as_members(function)
    )
    return f"{_OPEN}\n{_FUNCTION}{function['name']}>\n{members}{_FUNCTION_END}\n{_CLOSE}"


def as_members(function: Turn) -> list[tuple[str, Any]]:
    """The arguments of a call in a history, one by one."""
    arguments = function["arguments"]
    return list(arguments.items()) if isinstance(arguments, dict) else []


def as_text(value: Any) -> str:
    """A value as templates write it: texts without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


QWEN3_CODER = CallFormat(
    "qwen3_coder",
    _read,
    _rules,
    _write,
    in_probe="<function=zqcallqz>",
    markers=(_OPEN, _FUNCTION),
    texts=(_CLOSE,),
)


_NAMED, _PARAM = '<function name="', '<param name="'
_PARAM_END, _DATA, _DATA_END = "</param>", "<![CDATA[", "]]>"


def _read_named(source: Source, says: Says, marker: str) -> Steps[None]:  # noqa: ARG001
    name, _ = yield from source.upto('"')
    yield from source.spaces()
    yield from source.expect(">")
    says.opened(name)
    members = Members(says)
    while True:
        yield from source.spaces()
        if (yield from source.expect(_PARAM, _FUNCTION_END)) == _FUNCTION_END:
            break
        key, _ = yield from source.upto('"')
        yield from source.spaces()
        yield from source.expect(">")
        text = yield from _param(source)
        members.tell(key, json_of(text, members.schema(key)))
    members.close()


def _param(source: Source) -> Steps[str]:
    """A value up to the end of its element; in CDATA that may stand in it."""
    if (yield from source.takes(_DATA)) is None:
        text, _ = yield from source.upto(_PARAM_END)
        return text
    text, _ = yield from source.upto(_DATA_END)
    yield from source.spaces()
    if (yield from source.takes(_PARAM_END)) is None:
        raise Malformed
    return text


def _rules_named(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    calls: list[Expression] = []
    for tool in tools:
        members: list[Expression] = []
        for key, schema, needed in members_of(tool):
            value = _data_rules(book, tool, schema) if is_text(schema) else book.value(tool, schema)
            member = sequence(f'{_PARAM}{key}">', value, _PARAM_END)
            members.append(member if needed else optional(member))
        calls.append(sequence(f'{_NAMED}{tool.name}">', *members, _FUNCTION_END))
    return separated(either(calls), "\n", several=several)


def _data_rules(book: RuleBook, tool: Signature, schema: Schema) -> Expression:
    """A text in CDATA, or without where none needs it."""
    in_data = sequence(_DATA, text_rules(book, tool, schema, _DATA_END), _DATA_END)
    return either([in_data, text_rules(book, tool, schema, "<")])


def _write_named(functions: Sequence[Turn]) -> str:
    return "\n".join(
        f'{_NAMED}{one["name"]}">'
        + "".join(f'{_PARAM}{key}">{_as_data(value)}{_PARAM_END}' for key, value in as_members(one))
        + _FUNCTION_END
        for one in functions
    )


def _as_data(value: Any) -> str:
    text = as_text(value)
    return f"{_DATA}{text}{_DATA_END}" if "<" in text or "&" in text else text


MINICPM5 = CallFormat(
    "minicpm5",
    _read_named,
    _rules_named,
    _write_named,
    in_probe='<function name="zqcallqz"',
    markers=(_NAMED,),
    texts=(_FUNCTION_END,),
)
